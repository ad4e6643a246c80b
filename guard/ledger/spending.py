"""
The SQL of what was spent: whole runs are summed by the database, and only those that span a border come out of it.

The sums are over whole numbers, so they are exact. Every function works in the transaction of its caller.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from guard.core.facts import Job
from guard.core.periods import SCALE, Period, Stretch, Sum
from guard.core.sighting import Sighting
from guard.ledger.history import IS_OPEN
from guard.ledger.historyrows import stretch_of
from guard.ledger.historytables import IS_LONG, LONG_MS, history
from guard.ledger.jobcodec import decode
from guard.ledger.rows import sighting_of
from guard.ledger.tables import sightings

ROWS_AT_ONCE = 2_000

COLUMNS: Mapping[str, sa.Column[Any]] = {
    "user": history.c.user_word,
    "name": history.c.stem_word,
    "policy": history.c.policy_word,
    "target": history.c.place_word,
    "billing_code": history.c.parts_word,
}
"""What runs may be grouped by, as the number of a word."""

_RAN_MS = sa.func.coalesce(history.c.running_ms, 0)
_BEGAN_MS = history.c.ended_ms - _RAN_MS
_COST = (history.c.cost_units, history.c.cost_rest)

Key = tuple[int | None, ...]
"""The numbers of the words of a group, and last that of the currency."""

FOR_EVER_MS = 2**62


def whole_runs(connection: sa.Connection, by: Sequence[str], ended: Period, *, since_ms: int) -> Iterator[tuple[Key, Sum]]:
    """
    Yield the sums of the runs that ended in a period and did not begin before *since_ms*, by group.
    """
    group = [*(COLUMNS[name] for name in by), history.c.currency_word]
    sums = [sa.func.count(), sa.func.count(history.c.cost_units), sa.func.sum(_RAN_MS), *map(sa.func.sum, _COST)]
    wanted = sa.select(*group, *sums).where(_ended_in(ended), since_ms <= _BEGAN_MS).group_by(*group)
    for row in connection.execute(wanted):
        *key, runs, priced, running_ms, units, rest = row
        amount = 0 if units is None else int(units) * SCALE + int(rest)
        yield tuple(key), Sum(runs, runs - priced, int(running_ms), amount)


def cut_runs(connection: sa.Connection, by: Sequence[str], ended: Period, *, since_ms: int) -> Iterator[tuple[Key, Stretch]]:
    """
    Yield the runs that ended in a period, which begins at *since_ms*, and began before that.
    """
    begun = since_ms > _BEGAN_MS
    # Short ones ended soon after it, and long ones, which are few, have an index of their own.
    soon = Period(ended.from_ms, min(ended.to_ms, since_ms + LONG_MS))
    yield from _stretches(connection, by, sa.and_(_ended_in(soon), sa.not_(IS_LONG), begun))
    yield from _stretches(connection, by, sa.and_(IS_LONG, _ended_in(ended), begun))


def running(connection: sa.Connection) -> Iterator[tuple[Job, Sighting]]:
    """
    Yield the jobs whose run has no end on record: those that are live, that were read in no phase that is known, and that
    were read as over a moment ago.
    """
    wanted = sa.select(sightings).where(IS_OPEN)
    for row in connection.execute(wanted.execution_options(yield_per=ROWS_AT_ONCE)).mappings():
        seen = sighting_of(row)
        job = decode(row["facts"], key=seen.key, target=seen.target)
        if job is not None:
            yield job, seen


def bounds(connection: sa.Connection) -> tuple[int | None, int | None]:
    """
    Return when the first and the last run on record ended.
    """
    # One at a time, because SQLite finds only a single one by its index, and two by reading all of it.
    first, last = (connection.execute(sa.select(one(history.c.ended_ms))).scalar() for one in (sa.func.min, sa.func.max))
    return first, last


def _stretches(connection: sa.Connection, by: Sequence[str], where: sa.ColumnElement[bool]) -> Iterator[tuple[Key, Stretch]]:
    group = [*(COLUMNS[name] for name in by), history.c.currency_word]
    wanted = sa.select(*group, history.c.ended_ms, history.c.running_ms, *_COST).where(where)
    for row in connection.execute(wanted.execution_options(yield_per=ROWS_AT_ONCE)):
        yield tuple(row[: len(group)]), stretch_of(row)


def _ended_in(period: Period) -> sa.ColumnElement[bool]:
    return sa.and_(history.c.ended_ms >= period.from_ms, history.c.ended_ms < period.to_ms)
