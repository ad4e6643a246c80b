"""
The SQL of what policies that only observe would have done: each match gets the end of its run, in the transaction that
records that end.

Every function works in the transaction of its caller.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from guard.core.ended import Ended, Told
from guard.core.estimate import Inputs
from guard.core.facts import JobKey
from guard.core.harm import Forecast, Match, Spared, match_ms, spared
from guard.core.likeness import End
from guard.core.periods import Stretch, scaled, unscaled
from guard.core.plan import OBSERVED as REASON
from guard.core.protocol import Outcome
from guard.ledger import words
from guard.ledger.retention import dropped_potentials
from guard.ledger.rows import Row, key_of, loaded
from guard.ledger.tables import findings, intents
from guard.ports.savings import Potential

AT_ONCE = 200
OBSERVED = findings.c.reason == REASON
_SET = ("ended_ms", "running_ms", "ending", "phase", "currency", "cost", "potential")
# Not the forecasts, of which one is as large as all of this of many matches.
_LIGHT = [column for column in findings.c if column.name not in ("forecast", "text")]
_HAS_FORECAST = findings.c.forecast.is_not(None).label("has_forecast")
_END = (
    sa.update(findings)
    .where(findings.c.id == sa.bindparam("of"))
    .values({name: sa.bindparam(f"new_{name}", type_=findings.c[name].type) for name in _SET})
)


def doubtful_ends(connection: sa.Connection, *, of: Sequence[str] | None = None) -> set[tuple[str, int]]:
    """
    Return (job, run) of intents whose call may have ended the job although that was not confirmed, of some jobs or all.
    """
    unclear = tuple(one.value for one in (Outcome.UNCONFIRMED, Outcome.GONE, Outcome.FAILED))
    sent = sa.and_(intents.c.sending_ms.is_not(None), intents.c.outcome.in_(unclear))
    wanted = sa.select(intents.c.job_id, intents.c.run).where(sent)
    several = [wanted] if of is None else [wanted.where(intents.c.job_id.in_(some)) for some in words.portions(of, AT_ONCE)]
    return {(row.job_id, row.run) for one in several for row in connection.execute(one)}


def measure(connection: sa.Connection, ends: Sequence[Ended], policies: Mapping[tuple[JobKey, int], str]) -> list[Potential]:
    """
    Note of matches that were only observed how their runs ended; *policies* ended those of them that the guard ended.
    """
    by_run = {(end.job.key, end.run): end for end in ends}
    found: list[Row] = []
    for (region, project_id), job_ids in _places(by_run):
        # By equality in the leading columns, as the index on findings wants it.
        here = sa.and_(findings.c.region == region, findings.c.project_id == project_id, OBSERVED)
        for some in words.portions(job_ids, AT_ONCE):
            wanted = sa.select(*_LIGHT).where(here, findings.c.job_id.in_(some))
            found += [row for row in connection.execute(wanted).mappings() if (key_of(row), row["run"]) in by_run]
    if not found:
        return []
    measured, changes = list[Potential](), list[dict[str, Any]]()
    doubtful = doubtful_ends(connection, of=sorted({row["job_id"] for row in found}))
    for row in found:
        key = key_of(row), row["run"]
        end = by_run[key]
        ours = key in policies or (not end.by_itself and (end.job.key.job_id, end.run) in doubtful)
        ending = End.GUARD if ours else End.OWN if end.told is Told.READ else End.UNSEEN
        match = Match(policy=row["policy"], currency=end.currency, from_ms=from_ms_of(row))
        stretch = Stretch(end.ended_ms, end.running_ms or 0, _amount(end.cost))
        potential = potential_of(spared(match, stretch, ending, end.phase))
        values = (end.ended_ms, end.running_ms, ending.value, end.phase, end.currency, end.cost, potential)
        changes.append({"of": row["id"]} | {f"new_{name}": value for name, value in zip(_SET, values, strict=True)})
        if potential is not None:
            measured.append(Potential(target=row["target"], policy=match.policy, currency=match.currency, amount=potential))
    connection.execute(_END, changes)
    return measured


def potentials(connection: sa.Connection) -> list[Potential]:
    """
    Return what policies that only observe would have saved so far, by target, policy and currency; of findings that were
    dropped for their age too.
    """
    sums: defaultdict[tuple[str, str, str], int] = defaultdict(int, dropped_potentials(connection))
    columns = [findings.c[name] for name in ("target", "policy", "currency", "potential")]
    for row in connection.execute(sa.select(*columns).where(findings.c.potential.is_not(None))):
        sums[row.target, row.policy, row.currency] += scaled(row.potential)
    return [
        Potential(target=target, policy=policy, currency=currency, amount=unscaled(amount))
        for (target, policy, currency), amount in sorted(sums.items())
    ]


def observed(connection: sa.Connection, *, policy: str | None = None) -> Iterator[Row]:
    """
    Yield the matches that were only observed, of one policy if it is given, without what their forecasts rest on.
    """
    wanted = sa.select(*_LIGHT, _HAS_FORECAST).where(OBSERVED)
    if policy is not None:
        wanted = wanted.where(findings.c.policy == policy)
    yield from connection.execute(wanted.execution_options(yield_per=2_000)).mappings()


def spared_of(row: Row) -> Spared:
    """
    Return the run of a match whose end is on record.
    """
    stretch = Stretch(row["ended_ms"], row["running_ms"] or 0, _amount(row["cost"]))
    return spared(match_of(row, row["currency"]), stretch, End(row["ending"]), row["phase"])


def match_of(row: Row, currency: str) -> Match:
    """
    Return a match that was only observed, of a run whose cost is in that currency, with what was forecast in the same one.
    """
    forecast = None
    try:
        basis = loaded(row["basis"], Inputs) if row["has_forecast"] else None
    except ValueError as error:
        raise ValueError(f"match {row['id']}: {error}") from error
    if basis is not None and basis.currency == currency:
        forecast = Forecast(horizon_ms=basis.horizon_ms, expected=row["expected"])
    return Match(policy=row["policy"], currency=currency, from_ms=from_ms_of(row), forecast=forecast)


def potential_of(one: Spared) -> Decimal | None:
    """
    Return what would have been saved of a run that is over: its cost after the match, if it ended by itself and not before.
    """
    return one.after if one.end is End.OWN and one.after_ms >= 0 else None


def from_ms_of(row: Row) -> int:
    """
    Return from when on a run would not have gone on.
    """
    return match_ms(row["deadline_ms"], row["at_ms"])


def _places(runs: Mapping[tuple[JobKey, int], Ended]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for key, _ in runs:
        ids[key.region, key.project_id].add(key.job_id)
    for place, some in ids.items():
        yield place, sorted(some)


def _amount(cost: Decimal | None) -> int | None:
    return None if cost is None else scaled(cost)
