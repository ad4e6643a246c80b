"""
What the ledger says of the state of things, in one reading: who holds it, what is open, what it last saw of each target.
"""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from guard.core.facts import LIVE_PHASES
from guard.errors import LedgerUnusable
from guard.ledger import observations, room, schema
from guard.ledger.intents import open_since
from guard.ledger.leasetables import leases, replicas
from guard.ledger.sql import SqlLedger
from guard.ledger.tables import intents, sightings, walks
from guard.ports.status import (
    MOST_INTENTS,
    HolderStatus,
    IntentStatus,
    LedgerStatus,
    OpenIntents,
    PauseStatus,
    RecordedTarget,
    moment,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What a reading is to tell: how things stand at *now_ms*; how many terminations count against the limits since
    *since_ms*, if there are any; and of each target what is on record, which takes as long as there are jobs, if *targets*.
    """

    now_ms: int
    since_ms: int | None = None
    targets: bool = False


async def standing(ledger: SqlLedger, wanted: Wanted) -> LedgerStatus:
    """
    Return how things stand by the record; one that cannot be read is told as unusable, and never raised.
    """
    try:
        return await ledger.read("tell how things stand", lambda at: _standing(at, ledger.name, wanted))
    except LedgerUnusable as error:
        return LedgerStatus(name=ledger.name, usable=False, error=str(error))


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """
    The ledger of a running daemon, asked for its status; it implements the ``Record`` port.
    """

    ledger: SqlLedger

    @property
    def name(self) -> str:
        """
        How the ledger is called.
        """
        return self.ledger.name

    @property
    def schema(self) -> str:
        """
        The revision that this version works with.
        """
        return schema.newest()

    async def __call__(self, since_ms: int | None) -> LedgerStatus:
        """
        Return how things stand now.
        """
        return await standing(self.ledger, Wanted(now_ms=int(time.time() * 1000), since_ms=since_ms))


def _standing(connection: sa.Connection, name: str, wanted: Wanted) -> LedgerStatus:
    used = None if wanted.since_ms is None else room.used(connection, since_ms=wanted.since_ms)
    return LedgerStatus(
        name=name,
        usable=True,
        schema=schema.current(connection) or "",
        pause=_pause(connection, wanted.now_ms),
        holders=tuple(_holders(connection)),
        intents=_open(connection),
        targets=tuple(_targets(connection)) if wanted.targets else (),
        used_in_window=used,
    )


def _pause(connection: sa.Connection, now_ms: int) -> PauseStatus | None:
    found = observations.pause_on_record(connection)
    since = None if found is None else moment(found.since_ms)
    if found is None or since is None or not found.holds(now_ms):
        return None
    return PauseStatus(reason=found.reason, by=found.by, since=since, until=moment(found.until_ms))


def _holders(connection: sa.Connection) -> list[HolderStatus]:
    found = []
    counted = sa.select(leases.c.instance, sa.func.count()).group_by(leases.c.instance)
    counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
    rows = connection.execute(sa.select(replicas).order_by(replicas.c.since_ms, replicas.c.instance)).mappings().all()
    for row in rows:
        scope = "act" if len(rows) == 1 else f"{counts.get(row['instance'], 0)} targets"
        since, beat = moment(row["since_ms"]), moment(row["beat_ms"])
        if since is not None and beat is not None:
            one = HolderStatus(scope=scope, holder=row["holder"], host=row["host"], pid=row["pid"], since=since, beat=beat)
            found.append(one)
    return found


def _open(connection: sa.Connection) -> OpenIntents:
    count, _ = open_since(connection)
    columns = (intents.c[name] for name in ("number", "target", "job_id", "policy", "state", "created_ms"))
    oldest = sa.select(*columns).where(intents.c.outcome.is_(None)).order_by(intents.c.number).limit(MOST_INTENTS)
    told = []
    for row in connection.execute(oldest).mappings():
        since = moment(row["created_ms"])
        if since is not None:
            one = IntentStatus(
                intent=row["number"],
                target=row["target"],
                job=row["job_id"],
                policy=row["policy"],
                state=row["state"],
                since=since,
            )
            told.append(one)
    return OpenIntents(open=count, oldest=tuple(told))


def _targets(connection: sa.Connection) -> list[RecordedTarget]:
    live = sa.and_(sightings.c.facts.is_not(None), sightings.c.phase.in_(LIVE_PHASES))
    counted = sa.select(sightings.c.target, sa.func.count()).where(live).group_by(sightings.c.target)
    jobs: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
    walked = {row["target"]: row["finished_ms"] for row in connection.execute(sa.select(walks)).mappings()}
    return [
        RecordedTarget(target=one, jobs=jobs.get(one, 0), last_complete_walk=moment(walked.get(one)))
        for one in sorted(jobs.keys() | walked.keys())
    ]
