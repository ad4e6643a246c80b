"""
The real ledger, called in the loop: its own SQL on SQLite in memory, its own grouping of writes, and places to break it.

The database outlives the daemons. One engine serves all schedules of a process, since putting statements together takes
longer than running them; each schedule begins with a copy of an empty ledger.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sim_loop import OWNER, Killed
from sim_service import PROJECT, REGION, TARGET

from guard.core.breaker import Breaker, Cause, Confirmation, Scope
from guard.core.records import Pause
from guard.ledger import breaker, observations, schema
from guard.ledger.engine import make_engine, parse, writing
from guard.ledger.glance import Glance
from guard.ledger.groups import GroupWriter
from guard.ledger.lease import SqlLease
from guard.ledger.sql import SqlLedger

T = TypeVar("T")
KINDS = {
    "record an intent": "intent",
    "record 'sending'": "sending",
    "record 'accepted'": "accepted",
    "record 'denied'": "denied",
    "record the outcome": "close",
    "take the memory": "remember",
    "record findings": "findings",
    "take a walk": "walk",
    "give the lease": "lease",
    "renew the lease": "lease",
    "take the lease back": "lease",
}
WRITE_S = 0.003
# Above the largest that Linux gives.
NO_PID = 4_194_305


def kind_of(what: str) -> str:
    """
    The kind of a write by what it is called in messages.
    """
    return next((kind for start, kind in KINDS.items() if what.startswith(start)), "other")


class Store:
    """
    The database of one schedule after another.
    """

    def __init__(self) -> None:
        self.engine = make_engine(parse("sqlite://"))
        with writing(self.engine).begin() as connection:
            schema.upgrade(connection)
        with self.engine.connect() as connection:
            self.raw: Any = connection.connection.driver_connection
        self._empty = self.raw.serialize()
        self._commit = self.engine.dialect.do_commit
        self._rollback = self.engine.dialect.do_rollback
        self.engine.dialect.do_commit = self._do_commit  # type: ignore[method-assign]
        self.engine.dialect.do_rollback = self._do_rollback  # type: ignore[method-assign]
        self.kinds: list[str] = []
        self.world: Any = None

    def begin(self, world: Any) -> None:
        """
        Serve another schedule, with an empty ledger.
        """
        self.raw.deserialize(self._empty)
        self.world, self.kinds = world, []

    def rows(self, query: str, *values: Any) -> list[Any]:
        """
        Ask the database as it is on record now.
        """
        found: list[Any] = self.raw.execute(query, values).fetchall()
        return found

    def bury(self, number: int) -> None:
        """
        Let others on the machine see that a daemon has died: there is no process of its number any more.
        """
        self.raw.execute("UPDATE replicas SET pid = ? WHERE holder = ?", (NO_PID, f"d{number}"))

    def holder(self) -> str:
        """
        The name of who holds the lease of the target on record.
        """
        found = self.rows("SELECT instance FROM leases")
        return found[0][0] if found else ""

    def set_pause(self, pause: Pause | None) -> None:
        """
        Pause or resume, as another process does.
        """
        with writing(self.engine).begin() as connection:
            observations.set_pause(connection, pause)

    def trip(self, scope: str, name: str, at_ms: int) -> None:
        """
        Open the breaker for a policy or the target, as another process does.
        """
        whom = TARGET if scope == "target" else name
        made = Breaker(scope=Scope(scope), name=whom, cause=Cause.MATCHES, text="tripped", by="another", opened_ms=at_ms)
        with writing(self.engine).begin() as connection:
            breaker.open_one(connection, made)

    def reset(self, at_ms: int) -> None:
        """
        Close every breaker, as a person does.
        """
        with writing(self.engine).begin() as connection:
            breaker.reset(connection, by="a person", reason="looked", at_ms=at_ms, only=None)

    def confirm(self, policy: str, digest: str, at_ms: int) -> None:
        """
        Confirm a policy, as a person does.
        """
        word = Confirmation(policy=policy, digest=digest, by="a person", reason="looked", at_ms=at_ms)
        with writing(self.engine).begin() as connection:
            breaker.confirm(connection, word)

    def _do_commit(self, connection: Any) -> None:
        kinds, self.kinds, world = self.kinds, [], self.world
        if world is None:
            self._commit(connection)
            return
        owner = OWNER.get()
        if owner is not None:
            for kind in kinds:
                _come_by(world, f"commit:{kind}")
            if world.ledger_is("full"):
                raise sqlite3.OperationalError("database or disk is full")
        self._commit(connection)
        world.oracle.committed(owner, kinds)
        if owner is not None:
            for kind in kinds:
                _come_by(world, f"committed:{kind}")

    def _do_rollback(self, connection: Any) -> None:
        self.kinds = []
        self._rollback(connection)


def _come_by(world: Any, place: str) -> None:
    try:
        items = world.come_by(place)
    except Killed:
        # The database of a process that was killed is the same as after a failure; SQLAlchemy would close it for this one.
        raise sqlite3.OperationalError("killed") from None
    if any(one.act == "fail" for one in items):
        if place.startswith("committed:"):
            world.lose_answer()
        raise sqlite3.OperationalError("disk I/O error")


class _InLoop:
    """
    Stands in for the writer's thread.
    """

    def __init__(self, ledger: "SimLedger") -> None:
        self._ledger = ledger

    def submit(self, work: Callable[[], None]) -> None:
        ledger = self._ledger

        def run() -> None:
            if not ledger.daemon.dead:
                ledger.world.store.kinds = []
                work()

        delay_s, ledger.slow_s = WRITE_S + ledger.slow_s, 0.0
        ledger.world.loop.call_later(delay_s, run)

    def shutdown(self) -> None:
        return None


class _Writer(GroupWriter):
    def __init__(self, engine: sa.Engine, ledger: "SimLedger") -> None:
        # No group ends by real time, which differs from run to run.
        super().__init__(engine, longest_s=1e9)
        self._thread.shutdown()
        self._thread = _InLoop(ledger)  # type: ignore[assignment]
        self._ledger = ledger

    def put(self, work: Callable[[sa.Connection], T], *, first: bool = False) -> asyncio.Future[T]:
        answer = super().put(work, first=first)
        self._ledger.daemon.expect(answer)
        return answer


class _Look(Glance):
    def __init__(self, ledger: "SimLedger") -> None:
        self._connection = ledger.world.store.raw
        self._ledger = ledger

    def is_surely(self, question: str) -> bool:
        self._ledger.daemon.check()
        self._ledger.world.come_by("pause.read")
        return not self._ledger.world.ledger_is("unreadable", "locked") and super().is_surely(question)

    def close(self) -> None:
        return None


class SimLedger(SqlLedger):
    """
    The ledger of one daemon.
    """

    def __init__(self, world: Any, daemon: Any) -> None:
        super().__init__(world.store.engine, name="simulated")
        self.world = world
        self.daemon = daemon
        self.slow_s = 0.0
        self._writer = _Writer(writing(world.store.engine), self)
        if world.plan.seed % 3:
            self.paused._glance = _Look(self)

    async def write(self, what: str, work: Callable[[sa.Connection], T], **how: Any) -> T:
        self.daemon.check()
        world, kind = self.world, kind_of(what)
        for one in world.come_by(f"write:{kind}"):
            if one.act == "slow":
                self.slow_s += one.args[0]

        def marked(connection: sa.Connection) -> T:
            if world.ledger_is("readonly"):
                raise sqlite3.OperationalError("attempt to write a readonly database")
            if world.ledger_is("locked", "unreadable"):
                raise sqlite3.OperationalError("database is locked")
            result = work(connection)
            world.store.kinds.append(kind)
            return result

        answer = await super().write(what, marked, **how)
        self.daemon.check()
        return answer

    async def read(self, what: str, work: Callable[[sa.Connection], T], **how: Any) -> T:
        self.daemon.check()

        def asked(connection: sa.Connection) -> T:
            if self.world.ledger_is("unreadable", "locked"):
                raise sqlite3.OperationalError("database is locked")
            return work(connection)

        answer = await super().read(what, asked, **how)
        self.daemon.check()
        return answer


class SimLease(SqlLease):
    """
    The lease of a daemon, under names that are the same in each run.
    """

    def __init__(self, ledger: SimLedger, world: Any, daemon: Any) -> None:
        self._daemon_number = daemon.number
        self._names = 0
        shared = world.plan.replicas
        super().__init__(ledger, f"d{daemon.number}", world.clock, projects={TARGET: (REGION, PROJECT)}, shared=shared)
        ledger.fence = self

    @property
    def instance(self) -> str:
        """
        The name under which the ledger knows this daemon.
        """
        return f"d{self._daemon_number}.{self._names}"

    @instance.setter
    def instance(self, name: str) -> None:
        self._names += 1
