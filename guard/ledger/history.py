"""
The history as the cycle knows it, and the SQL that writes it.

A run is recorded once, whatever crashes in between and whoever writes beside: its row, the loss of its job's facts and the
note that its end is on record (``sightings.ended_run``) are one transaction. Until then its facts stay, which is how a later
process knows that its end is still to be read.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from guard.core.ended import Ended, RunRecord
from guard.core.facts import LIVE_PHASES, Job, JobKey
from guard.core.likeness import PastRun
from guard.core.protocol import Outcome
from guard.core.sighting import Sighting
from guard.ledger import observations, words
from guard.ledger.fence import projects
from guard.ledger.foregoing import busy
from guard.ledger.hindsight import doubtful_ends, measure
from guard.ledger.historyrows import WORDS, Rows, past_run_of, run_of
from guard.ledger.historytables import history
from guard.ledger.jobcodec import decode
from guard.ledger.retention import forget_findings
from guard.ledger.rows import key_columns, key_of, sighting_of
from guard.ledger.tables import intents, sightings
from guard.ledger.transactions import Transactions
from guard.ports import NO_FACTS
from guard.ports.savings import Potential

T = TypeVar("T")

AT_ONCE = 200
PAGE = 5_000
IS_OPEN = sa.and_(
    sightings.c.facts.is_not(None), sa.or_(sightings.c.ended_run.is_(None), sightings.c.ended_run < sightings.c.run)
)
_INSERT = sa.insert(history)
_MARK = (
    sa.update(sightings)
    .where(*(sightings.c[name] == sa.bindparam(f"of_{name}") for name in ("region", "project_id", "job_id")))
    .where(sa.func.coalesce(sightings.c.ended_run, 0) < sa.bindparam("of_run"))
    .values(ended_run=sa.bindparam("of_run"))
)


class SqlHistory:
    """
    The history in a SQL ledger. It implements the ``History`` port.
    """

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    async def last_known(self, keys: Collection[JobKey]) -> Mapping[JobKey, tuple[Job | None, Sighting]]:
        """
        Return what was last known of those of these jobs whose run has no end on record.
        """
        return await self._ledger.read("give what was last known of jobs", lambda at: last_known(at, keys))

    async def busy(self, keys: Collection[JobKey]) -> Collection[JobKey]:
        """
        Return those of these jobs that have an intent without an outcome, so that whose doing their end is may not be known.
        """
        return await self._ledger.read("give the open intents", lambda at: busy(at, keys))

    async def left(self, target: str) -> Sequence[JobKey]:
        """
        Return the jobs of a target that were not live when they were last seen, and whose end is not on record.
        """
        return await self._ledger.read("give the jobs without an end", lambda at: left(at, target), apart=True)

    async def put(
        self, ends: Sequence[Ended], *, seen: Sequence[Sighting], facts: Mapping[JobKey, Job] = NO_FACTS
    ) -> Sequence[Potential]:
        """
        Record ends, each once per (job, run), and remember the jobs as ``Ledger.remember`` does, in one transaction; return
        what policies that only observed these runs would have saved.
        """
        of = projects([*(one.key for one in seen), *(one.job.key for one in ends)])
        return await self._ledger.write("record the ends of jobs", lambda at: put(at, ends, seen, facts), of=of)

    async def forget(self, *, before_ms: int, limit: int) -> int:
        """
        Drop at most *limit* rows of runs that ended before that moment; return how many.
        """
        return await self._ledger.write("forget old runs", lambda at: forget(at, before_ms=before_ms, limit=limit))

    async def forget_findings(self, *, before_ms: int, limit: int) -> int:
        """
        Drop at most *limit* findings of jobs that are not remembered, recorded before that moment; return how many.
        """
        return await self._ledger.write("forget findings", lambda at: forget_findings(at, before_ms=before_ms, limit=limit))

    async def newest(self, *, limit: int = 100) -> Sequence[RunRecord]:
        """
        Return the runs that ended last, the newest first.
        """
        return await self._ledger.read("give the newest runs", lambda at: newest(at, limit))

    async def lives(self, *, from_ms: int, to_ms: int) -> AsyncIterator[Sequence[PastRun]]:
        """
        Yield the runs that ended in that time and whose running time is known, in the order of their ends, page by page.
        """
        after = (from_ms, -1)
        # Who of them the guard may have ended without a confirmation; these are few.
        doubtful = await self._ledger.read("give doubtful ends", doubtful_ends)
        while True:
            page, end = await self._ledger.read("give runs", lambda at, after=after: lives(at, after, to_ms, doubtful))  # type: ignore[misc]
            if page:
                yield page
            if end is None:
                return
            after = end


def last_known(connection: sa.Connection, keys: Collection[JobKey]) -> dict[JobKey, tuple[Job | None, Sighting]]:
    """
    Return the facts and the memory of jobs whose end is not on record; facts of another layout are None.
    """
    found: dict[JobKey, tuple[Job | None, Sighting]] = {}
    for here in _places(keys):
        for row in connection.execute(sa.select(sightings).where(here, IS_OPEN)).mappings():
            seen = sighting_of(row)
            found[seen.key] = (decode(row["facts"], key=seen.key, target=seen.target), seen)
    return found


def left(connection: sa.Connection, target: str) -> list[JobKey]:
    """
    Return the jobs of a target that were not live when last seen, and whose end is not on record.
    """
    key = (sightings.c.region, sightings.c.project_id, sightings.c.job_id)
    wanted = sa.select(*key).where(sightings.c.target == target, IS_OPEN, sightings.c.phase.not_in(LIVE_PHASES))
    return [key_of(row) for row in connection.execute(wanted).mappings()]


def put(
    connection: sa.Connection, ends: Sequence[Ended], seen: Sequence[Sighting], facts: Mapping[JobKey, Job]
) -> list[Potential]:
    """
    Record those of these ends that are not on record yet, then the memory of the jobs.
    """
    new, measured = _unrecorded(connection, ends), list[Potential]()
    if new:
        policies, rows = _policies(connection, new), Rows()
        made = [rows.row(end, policies.get((end.job.key, end.run))) for end in new]
        used: dict[str, int] = {}
        for row in made:
            for text in (row[name] for name in WORDS):
                if text is not None:
                    used[text] = max(used.get(text, row["ended_ms"]), row["ended_ms"])
        numbers = words.numbers_of(connection, used)
        for row in made:
            row.update({name: numbers.get(row[name]) for name in WORDS})
        connection.execute(_INSERT, made)
        measured = measure(connection, new, policies)
    observations.remember(connection, seen, facts)
    if new:
        connection.execute(_MARK, [_marking(end) for end in new])
    return measured


def forget(connection: sa.Connection, *, before_ms: int, limit: int) -> int:
    """
    Drop rows of runs that ended before that moment, the oldest first; once none is left, words that only they used.
    """
    old = sa.select(history.c.number).where(history.c.ended_ms < before_ms).order_by(history.c.ended_ms).limit(limit)
    dropped = connection.execute(sa.delete(history).where(history.c.number.in_(old))).rowcount
    if dropped < limit:
        words.forget(connection, before_ms=before_ms, limit=limit)
    return dropped


def lives(
    connection: sa.Connection,
    after: tuple[int, int],
    to_ms: int,
    doubtful: Collection[tuple[str, int]] = (),
    *,
    page: int = PAGE,
) -> tuple[list[PastRun], tuple[int, int] | None]:
    """
    Return a page of runs with a known running time, and where it ended (None: there are no more).
    """
    ended, number = after
    beyond = sa.or_(history.c.ended_ms > ended, sa.and_(history.c.ended_ms == ended, history.c.number > number))
    words_of = ("user_word", "stem_word", "parts_word")
    columns = (
        "ended_ms",
        "number",
        "running_ms",
        "entry_ms",
        "told",
        "rest",
        "cards",
        "policy_word",
        "job",
        "run",
        "by_itself",
        *words_of,
    )
    rows = connection.execute(
        sa.select(*(history.c[name] for name in columns))
        .where(history.c.ended_ms >= ended, history.c.ended_ms < to_ms, beyond)
        .order_by(history.c.ended_ms, history.c.number)
        .limit(page)
    ).all()
    used = {number for row in rows for name in words_of if (number := getattr(row, name)) is not None}
    texts = words.texts_of(connection, used)
    found = [past_run_of(row, texts, doubtful) for row in rows if row.running_ms is not None]
    return found, (rows[-1].ended_ms, rows[-1].number) if len(rows) == page else None


def newest(connection: sa.Connection, limit: int) -> list[RunRecord]:
    """
    Return the runs that ended last, the newest first.
    """
    wanted = sa.select(history).order_by(history.c.ended_ms.desc(), history.c.number.desc()).limit(limit)
    rows = connection.execute(wanted).all()
    used = {number for row in rows for name in WORDS if (number := getattr(row, name)) is not None}
    texts = words.texts_of(connection, used)
    return [run_of(row, texts) for row in rows]


def _unrecorded(connection: sa.Connection, ends: Iterable[Ended]) -> list[Ended]:
    """
    Return each end once, without those of runs whose end, or that of a later run, is on record.
    """
    wanted = {(end.job.key, end.run): end for end in ends}
    recorded: dict[JobKey, int] = {}
    key = (sightings.c.region, sightings.c.project_id, sightings.c.job_id)
    for here in _places({key for key, _ in wanted}):
        rows = connection.execute(sa.select(*key, sightings.c.ended_run).where(here, sightings.c.ended_run.is_not(None)))
        recorded.update({key_of(row): row["ended_run"] for row in rows.mappings()})
    return [end for (key, run), end in wanted.items() if run > recorded.get(key, 0)]


def _policies(connection: sa.Connection, ends: Iterable[Ended]) -> dict[tuple[JobKey, int], str]:
    """
    Return by which policy the guard ended those of these runs that it did.
    """
    columns = (intents.c.region, intents.c.project_id, intents.c.job_id, intents.c.run, intents.c.policy)
    found: dict[tuple[JobKey, int], str] = {}
    for some in words.portions(sorted({end.job.key.job_id for end in ends}), AT_ONCE):
        wanted = sa.select(*columns).where(intents.c.job_id.in_(some), intents.c.outcome == Outcome.CONFIRMED.value)
        for row in connection.execute(wanted.order_by(intents.c.number)).mappings():
            found[key_of(row), row["run"]] = row["policy"]
    return found


def _places(keys: Collection[JobKey]) -> Iterator[sa.ColumnElement[bool]]:
    """
    Yield conditions that together hold for the rows of these jobs.
    """
    ids: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        ids[key.region, key.project_id].append(key.job_id)
    for (region, project_id), job_ids in ids.items():
        # By equality in the leading columns: of a list of whole keys SQLite would not use the index.
        here = sa.and_(sightings.c.region == region, sightings.c.project_id == project_id)
        for some in words.portions(job_ids, AT_ONCE):
            yield sa.and_(here, sightings.c.job_id.in_(some))


def _marking(end: Ended) -> dict[str, Any]:
    return {f"of_{name}": value for name, value in key_columns(end.job.key).items()} | {"of_run": end.run}
