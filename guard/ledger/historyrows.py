"""
Rows of the history turned into values, and back; no SQL in here.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from guard.core.ended import Ended, RunRecord, Told, codes_of
from guard.core.facts import JobKey, Missing, Resource, Text, Whole
from guard.core.fields import total_cards
from guard.core.likeness import End, Likeness, PastRun
from guard.core.periods import SCALE, Stretch, scaled, unscaled
from guard.core.sighting import usable_start
from guard.core.stems import split_name

WORDS = ("phase_word", "place_word", "parts_word", "user_word", "stem_word", "currency_word", "policy_word")
# What is more is garbage from the wire. No sum of a hundred million rows ends beyond what a column holds.
MOST_UNITS = 10**11
MOST_CARDS = 10**9


class Rows:
    """
    Turns the runs of one batch into rows, whose words are still texts; what the jobs of a batch share is made once.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[object, ...], str] = {}

    def row(self, end: Ended, policy: str | None) -> dict[str, Any]:
        """
        Return the row of a run.
        """
        job = end.job
        stem, rest = (None, None) if isinstance(job.name, Missing) else split_name(job.name)
        cards = total_cards(job.resources)
        units, remainder = (None, None) if end.cost is None else divmod(scaled(end.cost), SCALE)
        if units is not None and units > MOST_UNITS:
            units = remainder = None
        return {
            "ended_ms": end.ended_ms,
            "running_ms": end.running_ms,
            "entry_ms": end.entry_ms,
            "age_ms": _before(end.ended_ms, job.create_time_ms),
            "span_ms": _before(end.ended_ms, usable_start(job)),
            "job": job.key.job_id,
            "run": end.run,
            "told": int(end.told),
            "by_itself": int(end.by_itself and policy is None),
            "phase_word": end.phase,
            "place_word": self._once(place_of, (job.key.region, job.key.project_id, job.target, job.workspace)),
            "parts_word": self._once(parts_of, (job.pool_id, job.kind, job.resources)),
            "user_word": _told(job.user),
            "stem_word": stem,
            "rest": rest,
            "cards": None if isinstance(cards, Missing) or cards > MOST_CARDS else cards,
            "currency_word": end.currency,
            "cost_units": units,
            "cost_rest": remainder,
            "policy_word": policy,
        }

    def _once(self, make: Callable[..., str], of: tuple[Any, ...]) -> str:
        made = self._shared.get(of)
        if made is None:
            made = self._shared[of] = make(*of)
        return made


def place_of(region: str, project_id: str, target: str, workspace: Text) -> str:
    """
    Return where a job is, as it is kept: region, project, target and workspace.
    """
    return _dumped([region, project_id, target, _told(workspace)])


def parts_of(pool_id: Text, kind: Text, resources: tuple[Resource, ...]) -> str:
    """
    Return on what a job runs, as it is kept: pool, kind, billing codes joined, and the resources.
    """
    return _dumped([_told(pool_id), _told(kind), codes_of(resources), [_resource(one) for one in resources]])


def target_in(place: str) -> str:
    """
    Return the target of a place.
    """
    return str(json.loads(place)[2])


def codes_in(parts: str) -> str:
    """
    Return the billing codes of what a job runs on, joined; "" if none is known.
    """
    return str(json.loads(parts)[2])


def stretch_of(row: Any) -> Stretch:
    """
    Return what a row says of time and money.
    """
    amount = None if row.cost_units is None else row.cost_units * SCALE + row.cost_rest
    return Stretch(row.ended_ms, row.running_ms or 0, amount)


def past_run_of(row: Any, texts: Mapping[int, str], doubtful: Collection[tuple[str, int]] = ()) -> PastRun:
    """
    Return a run of a known running time as the savings read it.

    It ended by the guard if a confirmed termination did it, or if it is *doubtful* and did not end by itself; by its own
    if it was read; and else was lost from view.
    """
    ours = row.policy_word is not None or (not row.by_itself and (row.job, row.run) in doubtful)
    end = End.GUARD if ours else End.OWN if row.told == Told.READ else End.UNSEEN
    like = Likeness(
        user=texts.get(row.user_word),
        stem=None if row.stem_word is None else texts[row.stem_word] or row.rest,
        billing_codes=codes_in(texts[row.parts_word]) or None,
        cards=row.cards,
    )
    return PastRun(like=like, entry_ms=row.entry_ms, exit_ms=row.running_ms, exit_at_ms=row.ended_ms, end=end)


def run_of(row: Any, texts: Mapping[int, str]) -> RunRecord:
    """
    Return the run of a row.
    """
    region, project_id, target, workspace = json.loads(texts[row.place_word])
    pool_id, kind, codes, _ = json.loads(texts[row.parts_word])
    amount = stretch_of(row).amount
    return RunRecord(
        key=JobKey(region=region, project_id=project_id, job_id=row.job),
        run=row.run,
        target=target,
        workspace=workspace,
        told=Told(row.told),
        phase=texts[row.phase_word],
        policy=texts.get(row.policy_word),
        user=texts.get(row.user_word),
        name=None if row.stem_word is None else texts[row.stem_word] + row.rest,
        kind=kind,
        pool_id=pool_id,
        billing_codes=codes,
        cards=row.cards,
        created_ms=None if row.age_ms is None else row.ended_ms - row.age_ms,
        started_ms=None if row.span_ms is None else row.ended_ms - row.span_ms,
        ended_ms=row.ended_ms,
        running_ms=row.running_ms,
        cost=None if amount is None else unscaled(amount),
        currency=texts[row.currency_word],
    )


def _resource(one: Resource) -> list[object]:
    return [_told(getattr(one, name)) for name in ("billing_code", "unit_num", "node_count", "cards_per_node", "flavor_id")]


def _dumped(value: list[object]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _told(fact: Text | Whole) -> str | int | None:
    return None if isinstance(fact, Missing) else fact


def _before(ended_ms: int, fact: Whole | None) -> int | None:
    """
    Return how long before the end a moment was; None for one that is unknown or was not reached.
    """
    return None if fact is None or isinstance(fact, Missing) or not 0 < fact <= ended_ms else ended_ms - fact
