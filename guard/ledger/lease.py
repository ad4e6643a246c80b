"""
The right of one process to act on a ledger: a row with a heartbeat.

A holder trusts its lease for less time than others wait before they take it, so that two never act at once. Times are real
ones. A holder that died on this machine is recognised at once, any other one when its heart has stopped.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from guard.errors import LedgerHeld
from guard.ledger.engine import insert
from guard.ledger.process import Process, is_dead, this_process
from guard.ledger.sql import SqlLedger
from guard.ledger.tables import lease
from guard.ports import Clock

TRUSTED_S = 20.0
STALE_MS = 30_000
NAME = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """
    The last heartbeat of this process, by the clock that people read and by the one that never steps.
    """

    at_s: float
    monotonic_s: float


class SqlLease:
    """
    The lease of a ledger. It implements the ``Lease`` port; *holder* is the name that others are shown.
    """

    def __init__(self, ledger: SqlLedger, holder: str, clock: Clock, *, process: Process | None = None) -> None:
        self._ledger = ledger
        self._holder = holder
        self._clock = clock
        self._process = process or this_process()
        self._token = uuid.uuid4().hex
        self._beat: Beat | None = None

    async def acquire(self) -> None:
        """
        Take the lease, also from a holder that has died or whose last heartbeat is more than 30 s old.

        Raises ``LedgerHeld``, naming the holder, if another process holds it, and ``LedgerUnusable``.
        """
        beat = self._now()
        holder = await self._ledger.write("give the lease", lambda at: self._take(at, _ms(beat)))
        if holder is not None:
            self._beat = None
            raise LedgerHeld(_refusal(self._ledger.name, holder, now_ms=_ms(beat)))
        self._beat = beat

    async def renew(self) -> bool:
        """
        Beat the heart; False if another process has the lease now, or none. Raises ``LedgerUnusable``.
        """
        # The moment before the write counts: the write may take long, and others count from what it wrote.
        beat = self._now()
        mine = sa.and_(lease.c.name == NAME, lease.c.token == self._token)
        change = sa.update(lease).where(mine).values(beat_ms=_ms(beat))
        kept = await self._ledger.write("renew the lease", lambda at: at.execute(change).rowcount == 1)
        self._beat = beat if kept else None
        return kept

    def held(self) -> bool:
        """
        Tell whether the lease is held and was renewed within the last 20 s.

        Both clocks are asked: the steady one stands still while a machine sleeps, the other one may be set back.
        """
        beat, now = self._beat, self._now()
        if beat is None:
            return False
        return now.monotonic_s - beat.monotonic_s <= TRUSTED_S and now.at_s - beat.at_s <= TRUSTED_S

    async def release(self) -> None:
        """
        Give the lease back, if it is still this process's; raises ``LedgerUnusable``.
        """
        self._beat = None
        mine = sa.and_(lease.c.name == NAME, lease.c.token == self._token)
        await self._ledger.write("take the lease back", lambda at: at.execute(sa.delete(lease).where(mine)))

    def _take(self, connection: sa.Connection, now_ms: int) -> sa.RowMapping | None:
        """
        Write this process into the row, or return the row of a holder that must be respected.
        """
        one = sa.select(lease).where(lease.c.name == NAME)
        there = connection.execute(one.with_for_update()).mappings().one_or_none()
        if there is not None and there["token"] != self._token and not self._may_take(there, now_ms):
            return there
        mine = {
            "token": self._token,
            "holder": self._holder,
            "host": self._process.host,
            "boot_id": self._process.boot_id,
            "pid_namespace": self._process.pid_namespace,
            "pid": self._process.pid,
            "process_start": self._process.start,
            "since_ms": now_ms,
            "beat_ms": now_ms,
        }
        seen = "" if there is None else there["token"]
        put = insert(lease).values(name=NAME, **mine)
        connection.execute(put.on_conflict_do_update(index_elements=["name"], set_=mine, where=lease.c.token == seen))
        now = connection.execute(one).mappings().one()
        return None if now["token"] == self._token else now

    def _may_take(self, there: sa.RowMapping, now_ms: int) -> bool:
        holder = Process(
            host=there["host"],
            boot_id=there["boot_id"],
            pid_namespace=there["pid_namespace"],
            pid=there["pid"],
            start=there["process_start"],
        )
        return now_ms - there["beat_ms"] > STALE_MS or is_dead(holder, seen_from=self._process)

    def _now(self) -> Beat:
        return Beat(at_s=self._clock.now(), monotonic_s=self._clock.monotonic())


def _ms(beat: Beat) -> int:
    return int(beat.at_s * 1000)


def _refusal(ledger: str, holder: sa.RowMapping, *, now_ms: int) -> str:
    since = datetime.fromtimestamp(holder["since_ms"] / 1000, UTC).isoformat(timespec="seconds")
    age_s = (now_ms - holder["beat_ms"]) / 1000
    beat = (
        f"its last heartbeat is {age_s:.0f} s old"
        if age_s >= 0
        else "its last heartbeat is in the future: compare the clocks"
    )
    return (
        f"ledger {ledger} is held by {holder['holder'][:100]!r} (host {holder['host'][:100]!r}, pid {holder['pid']}) "
        f"since {since}, {beat}; stop it first, or wait: "
        f"a lease is free {STALE_MS // 1000} s after the last heartbeat"
    )
