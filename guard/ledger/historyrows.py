"""
Rows of the history turned into values, and back; no SQL in here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from guard.core.ended import Ended, Life, codes_of
from guard.core.facts import Job, JobKey, Missing, Resource, Text, Whole
from guard.core.fields import total_cards
from guard.core.sighting import usable_start
from guard.core.spend import SCALE, Stretch, scaled
from guard.core.stems import split_name

# What is more is garbage from the wire. No sum of a hundred million rows ends beyond what a column holds.
MOST_UNITS = 10**11
MOST_CARDS = 10**9


def texts_of(end: Ended, policy: str | None) -> Iterator[str]:
    """
    Yield the texts of a run that are kept as words.
    """
    job = end.job
    yield from (end.phase, end.currency, place_of(job), parts_of(job))
    if not isinstance(job.user, Missing):
        yield job.user
    if not isinstance(job.name, Missing):
        yield split_name(job.name)[0]
    if policy is not None:
        yield policy


def columns_of(end: Ended, policy: str | None, numbers: Mapping[str, int]) -> dict[str, Any]:
    """
    Return the row of a run; *numbers* are those of its words.
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
        "age_ms": _before(end.ended_ms, job.create_time_ms),
        "span_ms": _before(end.ended_ms, usable_start(job)),
        "job": job.key.job_id,
        "run": end.run,
        "told": int(end.told),
        "by_itself": int(end.by_itself and policy is None),
        "phase_word": numbers[end.phase],
        "place_word": numbers[place_of(job)],
        "parts_word": numbers[parts_of(job)],
        "user_word": None if isinstance(job.user, Missing) else numbers[job.user],
        "stem_word": None if stem is None else numbers[stem],
        "rest": rest,
        "cards": None if isinstance(cards, Missing) or cards > MOST_CARDS else cards,
        "currency_word": numbers[end.currency],
        "cost_units": units,
        "cost_rest": remainder,
        "policy_word": None if policy is None else numbers[policy],
    }


def place_of(job: Job) -> str:
    """
    Return where a job is, as it is kept: region, project, target and workspace.
    """
    return _dumped([job.key.region, job.key.project_id, job.target, _told(job.workspace)])


def parts_of(job: Job) -> str:
    """
    Return on what a job runs, as it is kept: pool, kind, billing codes joined, and the resources.
    """
    resources = [_resource(one) for one in job.resources]
    return _dumped([_told(job.pool_id), _told(job.kind), codes_of(job.resources), resources])


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


def life_of(row: Any, texts: Mapping[int, str]) -> Life:
    """
    Return a run of a known running time.
    """
    return Life(
        user=texts.get(row.user_word),
        stem=texts.get(row.stem_word),
        billing_codes=codes_in(texts[row.parts_word]),
        cards=row.cards,
        running_ms=row.running_ms,
        ended_naturally=bool(row.by_itself),
    )


def ended_of(row: Any, texts: Mapping[int, str]) -> dict[str, Any]:
    """
    Return a whole row as plain data.
    """
    region, project_id, target, workspace = json.loads(texts[row.place_word])
    pool_id, kind, codes, _ = json.loads(texts[row.parts_word])
    key = JobKey(region=region, project_id=project_id, job_id=row.job)
    return {
        "key": key,
        "target": target,
        "workspace": workspace,
        "run": row.run,
        "told": row.told,
        "phase": texts[row.phase_word],
        "by_itself": bool(row.by_itself),
        "policy": texts.get(row.policy_word),
        "user": texts.get(row.user_word),
        "name": None if row.stem_word is None else texts[row.stem_word] + row.rest,
        "kind": kind,
        "pool_id": pool_id,
        "billing_codes": codes,
        "cards": row.cards,
        "created_ms": None if row.age_ms is None else row.ended_ms - row.age_ms,
        "started_ms": None if row.span_ms is None else row.ended_ms - row.span_ms,
        "ended_ms": row.ended_ms,
        "running_ms": row.running_ms,
        "amount": stretch_of(row).amount,
        "currency": texts[row.currency_word],
    }


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
