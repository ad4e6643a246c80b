"""
The breaker in a SQL ledger: when it opened and closed, its levels, and which policies a person confirmed.

The functions work in the transaction of their caller.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

import sqlalchemy as sa

from guard.core.breaker import Breaker, Cause, Confirmation, Scope
from guard.core.facts import JobKey
from guard.core.hashchain import LEDGER
from guard.core.plan import Rule
from guard.core.windows import Window
from guard.ledger import audit
from guard.ledger.breakertables import breakers, confirmations, levels
from guard.ledger.engine import insert
from guard.ledger.glance import NO_BREAKER, Looked
from guard.ledger.room import acted, window
from guard.ledger.rows import Row
from guard.ledger.transactions import Transactions

Levels = Mapping[tuple[str, str], str]
OVER = "its time was over"
_UNCLOSED = breakers.c.closed_ms.is_(None)


class SqlBreaker:
    """
    The breaker in a SQL ledger. It implements the ``BreakerBook`` port.
    """

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger
        self.looked = Looked[Sequence[Breaker]](self._unclosed, question=NO_BREAKER, nothing=())

    async def unclosed(self) -> Sequence[Breaker]:
        """
        Return the breakers that nobody closed, by a reading that began after the call; the time of some may be over.
        """
        return await self.looked()

    async def _unclosed(self) -> Sequence[Breaker]:
        return await self._ledger.read("tell whether the breaker is open", unclosed, apart=True)

    async def newest(self, *, limit: int) -> Sequence[Breaker]:
        """
        Return the breakers that were opened last, newest first.
        """
        wanted = sa.select(breakers).order_by(breakers.c.id.desc()).limit(limit)
        return await self._ledger.read(
            "give the breakers", lambda at: [breaker_of(row) for row in at.execute(wanted).mappings()], apart=True
        )

    async def open(self, breaker: Breaker) -> bool:
        """
        Put an open breaker on record; False if it is open already.
        """
        return await self._ledger.write("open the breaker", lambda at: open_one(at, breaker))

    async def reset(self, *, by: str, reason: str, at_ms: int, only: tuple[Scope, str] | None = None) -> Sequence[Breaker]:
        """
        Close what is open, or *only* what is for that policy or target, and forget its level; return what was closed.
        """
        return await self._ledger.write(
            "reset the breaker", lambda at: reset(at, by=by, reason=reason, at_ms=at_ms, only=only)
        )

    async def levels(self) -> Mapping[tuple[str, str], tuple[str, int]]:
        """
        Return the remembered levels as text and when they were recorded, by cause and name.
        """
        return await self._ledger.read("give the levels of the breaker", levels_of, apart=True)

    async def set_levels(self, wanted: Levels, *, at_ms: int) -> None:
        """
        Insert or replace these levels.
        """
        await self._ledger.write("take the levels of the breaker", lambda at: set_levels(at, wanted, at_ms=at_ms))

    async def confirm(self, confirmation: Confirmation) -> bool:
        """
        Record that a person confirmed a policy; False if somebody did before.
        """
        return await self._ledger.write("confirm a policy", lambda at: confirm(at, confirmation))

    async def confirmed(self) -> Sequence[Confirmation]:
        """
        Return the confirmations, newest first.
        """
        wanted = sa.select(confirmations).order_by(confirmations.c.at_ms.desc(), confirmations.c.policy)
        return await self._ledger.read(
            "give the confirmations", lambda at: [Confirmation(**row) for row in at.execute(wanted).mappings()]
        )

    async def acted(self, rules: Collection[Rule]) -> Mapping[Rule, Set[JobKey]]:
        """
        Return the jobs that each of these policies has acted on, without those policies that a person confirmed.
        """
        return await self._ledger.read("tell what new policies did", lambda at: acted(at, rules))

    async def window(self, *, since_ms: int) -> Window:
        """
        Return the sums over the intents that count against the limits since that moment.
        """
        return await self._ledger.read("sum up against the limits", lambda at: window(at, since_ms=since_ms))


def unclosed(connection: sa.Connection) -> list[Breaker]:
    """
    Return the breakers that nobody closed, oldest first.
    """
    wanted = sa.select(breakers).where(_UNCLOSED).order_by(breakers.c.id)
    return [breaker_of(row) for row in connection.execute(wanted).mappings()]


def open_one(connection: sa.Connection, breaker: Breaker) -> bool:
    """
    Put an open breaker on record, unless it is open; one whose time is over is closed first.
    """
    same = sa.and_(
        _UNCLOSED,
        breakers.c.scope == breaker.scope.value,
        breakers.c.name == breaker.name,
        breakers.c.cause == breaker.cause.value,
    )
    row = connection.execute(sa.select(breakers).where(same)).mappings().one_or_none()
    if row is not None:
        if breaker_of(row).holds(breaker.opened_ms):
            return False
        closed = {"closed_ms": row["until_ms"], "closed_why": OVER}
        connection.execute(sa.update(breakers).where(same).values(**closed))
        _audited(connection, "breaker_closed", {"id": row["id"], **closed}, at_ms=breaker.opened_ms)
    made = {name: getattr(breaker, name) for name in ("name", "text", "by", "opened_ms", "until_ms")}
    row_of = {"scope": breaker.scope.value, "cause": breaker.cause.value, "closed_by": "", "closed_why": "", **made}
    number = connection.execute(sa.insert(breakers).values(**row_of).returning(breakers.c.id)).scalar_one()
    _audited(connection, "breaker_opened", {"id": number, "closed_ms": None, **row_of}, at_ms=breaker.opened_ms)
    return True


def reset(connection: sa.Connection, *, by: str, reason: str, at_ms: int, only: tuple[Scope, str] | None) -> list[Breaker]:
    """
    Close what is open and forget its level; return it as it was.
    """
    which: sa.ColumnElement[bool] = _UNCLOSED
    if only is not None:
        which = sa.and_(which, breakers.c.scope == only[0].value, breakers.c.name == only[1])
    rows = connection.execute(sa.select(breakers).where(which)).mappings().all()
    found, closed = [breaker_of(row) for row in rows], {"closed_ms": at_ms, "closed_by": by, "closed_why": reason}
    connection.execute(sa.update(breakers).where(which).values(**closed))
    for row in rows:
        _audited(connection, "breaker_reset", {"id": row["id"], **closed}, at_ms=at_ms)
    for one in found:
        connection.execute(sa.delete(levels).where(levels.c.cause == one.cause.value, levels.c.name == one.name))
    return found


def levels_of(connection: sa.Connection) -> dict[tuple[str, str], tuple[str, int]]:
    """
    Return the levels and their moments by cause and name.
    """
    return {(row.cause, row.name): (row.level, row.at_ms) for row in connection.execute(sa.select(levels))}


def set_levels(connection: sa.Connection, wanted: Levels, *, at_ms: int) -> None:
    """
    Insert or replace these levels.
    """
    for (cause, name), level in wanted.items():
        now = {"level": level, "at_ms": at_ms}
        put = insert(levels).values(cause=cause, name=name, **now)
        connection.execute(put.on_conflict_do_update(index_elements=["cause", "name"], set_=now))


def confirm(connection: sa.Connection, one: Confirmation) -> bool:
    """
    Record a confirmation; the first one of a policy stays.
    """
    same = sa.and_(confirmations.c.policy == one.policy, confirmations.c.digest == one.digest)
    if connection.execute(sa.select(sa.literal(1)).where(same)).first() is not None:
        return False
    made = {"policy": one.policy, "digest": one.digest, "by": one.by, "reason": one.reason, "at_ms": one.at_ms}
    connection.execute(sa.insert(confirmations).values(**made))
    audit.append(connection, LEDGER, "confirmed_policy", {"confirmations": [audit.whole(made)]}, at_ms=one.at_ms)
    return True


def breaker_of(row: Row) -> Breaker:
    """
    Return the breaker of a row.
    """
    names = ("name", "text", "by", "opened_ms", "until_ms", "closed_ms", "closed_by", "closed_why")
    return Breaker(scope=Scope(row["scope"]), cause=Cause(row["cause"]), **{name: row[name] for name in names})


def _audited(connection: sa.Connection, kind: str, row: Mapping[str, Any], *, at_ms: int) -> None:
    audit.append(connection, LEDGER, kind, {"breakers": [audit.whole(row)]}, at_ms=at_ms)
