"""
The SQL of intents: opened within the limits, advanced step by step, closed once.

Every function works in the transaction of its caller. Those that write rely on being the only writer while they run.
"""

from collections import defaultdict
from collections.abc import Collection
from decimal import Context, Decimal
from typing import Any

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.periods import Period
from guard.core.plan import Attempt, Before
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Draft, Intent, Quota, Tally
from guard.errors import LedgerUnusable
from guard.ledger.engine import insert
from guard.ledger.rows import draft_columns, dumped, intent_of, key_of
from guard.ledger.tables import AnyText, intents, steps

# What may follow what; a call is on record before it is sent, every time.
FOLLOWS = {
    State.INTENDED: frozenset({State.SENDING}),
    State.SENDING: frozenset({State.SENDING, State.DENIED, State.ACCEPTED}),
    State.DENIED: frozenset({State.SENDING}),
    State.ACCEPTED: frozenset[State](),
}
# Only the gate stopped these, so nothing was attempted.
STOPPED_BY_GATE = (Outcome.HELD_BACK, Outcome.EXEMPT)
# More digits than any sum of money has, so that sums are exact.
EXACT = Context(prec=200)

# What is summed of confirmed terminations.
SAVINGS = ("savings_upper", "savings_expected", "savings_lower", "savings_assumed")

# Values of one IN list; databases bound them.
AT_ONCE = 500
_IS_OPEN = intents.c.outcome.is_(None)
_OPEN_SINCE = sa.select(sa.func.count(), sa.func.min(intents.c.created_ms)).where(_IS_OPEN)


def _advance_to(state: State) -> sa.sql.dml.ReturningUpdate[Any]:
    before = [each.value for each, following in FOLLOWS.items() if state in following]
    changed: dict[str, Any] = {
        "state": state.value,
        "note": sa.func.coalesce(sa.bindparam("new_note", type_=AnyText), intents.c.note),
    }
    moment = sa.bindparam("new_ms", type_=sa.BigInteger)
    if state is State.SENDING:
        changed["sending_ms"] = sa.func.coalesce(intents.c.sending_ms, moment)
    if state is State.ACCEPTED:
        changed["accepted_ms"] = moment
    return _OF.where(intents.c.state.in_(before)).values(changed).returning(intents)


# Built once: putting a statement together takes longer than the database takes to carry it out.
_OF = sa.update(intents).where(intents.c.number == sa.bindparam("of"), _IS_OPEN)
_OPEN = (
    insert(intents)
    .on_conflict_do_nothing(index_elements=["region", "project_id", "job_id"], index_where=_IS_OPEN)
    .returning(intents.c.number)
)
_ADVANCE = {state: _advance_to(state) for state in (State.SENDING, State.DENIED, State.ACCEPTED)}
_CLOSE = _OF.values(
    state=State.CLOSED.value,
    outcome=sa.bindparam("new_outcome"),
    closed_ms=sa.bindparam("new_closed_ms"),
    note=sa.bindparam("new_note"),
    cost=sa.bindparam("new_cost"),
    savings_upper=sa.bindparam("new_savings_upper"),
    basis=sa.bindparam("new_basis"),
).returning(intents)
_STEP = sa.insert(steps)
_ONE = sa.select(intents).where(intents.c.number == sa.bindparam("of"))


def open_one(connection: sa.Connection, draft: Draft, *, at_ms: int, quota: Quota | None) -> Intent | None:
    """
    Record an intent, or return None if the job has an open one or the quota has no room.
    """
    if quota is not None and used(connection, since_ms=quota.since_ms) >= quota.total:
        return None
    made = draft_columns(draft) | {"state": State.INTENDED.value, "created_ms": at_ms, "note": ""}
    number = connection.execute(_OPEN, made).scalar_one_or_none()
    if number is None:
        return None
    _append(connection, number, at_ms=at_ms, state=State.INTENDED.value, note="")
    return Intent(number=number, draft=draft, state=State.INTENDED, created_ms=at_ms)


def advance(connection: sa.Connection, number: int, state: State, *, at_ms: int, note: str) -> Intent:
    """
    Record a step of an open intent; raises ``LedgerUnusable`` if it is closed or the step may not follow its state.
    """
    if state not in _ADVANCE:
        raise _why_not(connection, number, state)
    changed = {"of": number, "new_note": note or None, "new_ms": at_ms}
    row = connection.execute(_ADVANCE[state], changed).mappings().one_or_none()
    if row is None:
        raise _why_not(connection, number, state)
    _append(connection, number, at_ms=at_ms, state=state.value, note=note)
    return intent_of(row)


def close(connection: sa.Connection, number: int, closing: Closing, *, at_ms: int) -> Intent:
    """
    Record the outcome of an open intent; raises ``LedgerUnusable`` if it has one.
    """
    changed = {
        "of": number,
        "new_outcome": closing.outcome.value,
        "new_closed_ms": at_ms,
        "new_note": closing.note,
        "new_cost": closing.cost,
        "new_savings_upper": closing.savings_upper,
        "new_basis": dumped(closing.basis),
    }
    row = connection.execute(_CLOSE, changed).mappings().one_or_none()
    if row is None:
        raise _why_not(connection, number, State.CLOSED)
    _append(connection, number, at_ms=at_ms, state=closing.outcome.value, note=closing.note)
    return intent_of(row)


def open_ones(connection: sa.Connection) -> list[Intent]:
    """
    Return the open intents, oldest first.
    """
    rows = connection.execute(sa.select(intents).where(_IS_OPEN).order_by(intents.c.number)).mappings()
    return [intent_of(row) for row in rows]


def open_since(connection: sa.Connection) -> tuple[int, int | None]:
    """
    Count the open intents, and tell when the oldest was made.
    """
    count, oldest_ms = connection.execute(_OPEN_SINCE).one()
    return count, oldest_ms


def before(connection: sa.Connection, keys: Collection[JobKey], *, since_ms: int) -> Before:
    """
    Return what a plan for these jobs has to know; of one moment if the connection's transaction is.
    """
    return Before(busy=busy(connection, keys), attempts=attempts(connection, keys), used=used(connection, since_ms=since_ms))


def busy(connection: sa.Connection, keys: Collection[JobKey]) -> set[JobKey]:
    """
    Return those of these jobs that have an open intent.
    """
    job, wanted, found = (intents.c.region, intents.c.project_id, intents.c.job_id), sorted(keys), set()
    for start in range(0, len(wanted), AT_ONCE):
        ids = {key.job_id for key in wanted[start : start + AT_ONCE]}
        rows = connection.execute(sa.select(*job).where(_IS_OPEN, intents.c.job_id.in_(ids))).mappings()
        found |= {key_of(row) for row in rows}
    return found.intersection(keys)


def newest(connection: sa.Connection, *, job_id: str | None, limit: int) -> list[Intent]:
    """
    Return the newest intents, of one job id if it is given.
    """
    wanted = sa.select(intents).order_by(intents.c.number.desc()).limit(limit)
    if job_id is not None:
        wanted = wanted.where(intents.c.job_id == job_id)
    return [intent_of(row) for row in connection.execute(wanted).mappings()]


def closed_in(connection: sa.Connection, period: Period) -> list[Intent]:
    """
    Return the intents that were closed in a period, oldest first.
    """
    ended = intents.c.closed_ms
    wanted = sa.select(intents).where(ended >= period.from_ms, ended < period.to_ms).order_by(intents.c.number)
    return [intent_of(row) for row in connection.execute(wanted).mappings()]


def one(connection: sa.Connection, number: int) -> Intent | None:
    """
    Return the intent of that number, if there is one.
    """
    row = connection.execute(_ONE, {"of": number}).mappings().one_or_none()
    return None if row is None else intent_of(row)


def steps_of(connection: sa.Connection, number: int) -> list[tuple[int, str, str]]:
    """
    Return (moment, state or outcome, note) of every step, in the order of recording.
    """
    wanted = sa.select(steps.c.at_ms, steps.c.state, steps.c.note).where(steps.c.intent == number).order_by(steps.c.id)
    return [(row.at_ms, row.state, row.note) for row in connection.execute(wanted)]


def used(connection: sa.Connection, *, since_ms: int) -> int:
    """
    Count the intents that reached ``sending`` since that moment, and the open ones that have not reached it.
    """
    unsent = sa.and_(_IS_OPEN, intents.c.sending_ms.is_(None))
    counted = sa.or_(intents.c.sending_ms >= since_ms, unsent)
    return connection.execute(sa.select(sa.func.count()).select_from(intents).where(counted)).scalar_one()


def attempts(connection: sa.Connection, keys: Collection[JobKey]) -> dict[JobKey, Attempt]:
    """
    Return the newest intent of each of these jobs whose newest one is closed; nothing follows an open one.
    """
    wanted = sorted(keys)
    found: dict[JobKey, Attempt] = {}
    for start in range(0, len(wanted), AT_ONCE):
        found |= _attempts(connection, {key.job_id for key in wanted[start : start + AT_ONCE]})
    return {key: attempt for key, attempt in found.items() if key in keys}


def _attempts(connection: sa.Connection, job_ids: Collection[str]) -> dict[JobKey, Attempt]:
    job = (intents.c.region, intents.c.project_id, intents.c.job_id)
    last = sa.select(sa.func.max(intents.c.number)).where(intents.c.job_id.in_(job_ids)).group_by(*job).scalar_subquery()
    other = intents.alias()
    tried = (
        sa.select(sa.func.count())
        .where(other.c.region == intents.c.region, other.c.project_id == intents.c.project_id)
        .where(other.c.job_id == intents.c.job_id, other.c.run == intents.c.run)
        .where(other.c.outcome.is_not(None), other.c.outcome.not_in(STOPPED_BY_GATE))
        .scalar_subquery()
    )
    columns = (*job, intents.c.run, intents.c.fingerprint, intents.c.closed_ms, intents.c.outcome, tried.label("tried"))
    wanted = sa.select(*columns).where(intents.c.number.in_(last), ~_IS_OPEN)
    return {key_of(row): _attempt(row) for row in connection.execute(wanted).mappings()}


def tallies(connection: sa.Connection) -> list[Tally]:
    """
    Return count, cards and exact money of the closed intents by (target, policy, outcome, currency), in that order.
    """
    group = (intents.c.target, intents.c.policy, intents.c.outcome, intents.c.currency)
    saved: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    money = sa.select(*group, *(intents.c[one] for one in SAVINGS)).where(intents.c.savings_upper.is_not(None), ~_IS_OPEN)
    for row in connection.execute(money):
        for which, amount in zip(SAVINGS, row[len(group) :], strict=True):
            if amount is not None:
                saved[*row[: len(group)], which] = EXACT.add(saved[*row[: len(group)], which], amount)
    counted = sa.select(*group, sa.func.count(), sa.func.coalesce(sa.func.sum(intents.c.cards), 0))
    found: list[Tally] = []
    for target, policy, outcome, currency, count, cards in connection.execute(
        counted.where(~_IS_OPEN).group_by(*group).order_by(*group)
    ):
        found.append(
            Tally(
                target=target,
                policy=policy,
                outcome=Outcome(outcome),
                currency=currency,
                count=count,
                cards=int(cards),
                **{which: saved[target, policy, outcome, currency, which] for which in SAVINGS},
            )
        )
    return found


def _attempt(row: sa.RowMapping) -> Attempt:
    return Attempt(
        run=row["run"],
        fingerprint=row["fingerprint"],
        closed_ms=row["closed_ms"],
        count=max(1, row["tried"]),
        retries_at_once=Outcome(row["outcome"]) in STOPPED_BY_GATE,
    )


def _why_not(connection: sa.Connection, number: int, state: State) -> LedgerUnusable:
    """
    Return why an intent did not take a step to *state*.
    """
    intent = one(connection, number)
    if intent is None:
        return LedgerUnusable(f"there is no intent {number}")
    if intent.outcome is not None:
        return LedgerUnusable(f"intent {number} is closed ({intent.outcome.value})")
    return LedgerUnusable(f"{state.value!r} may not follow {intent.state.value!r}")


def _append(connection: sa.Connection, number: int, *, at_ms: int, state: str, note: str) -> None:
    connection.execute(_STEP, {"intent": number, "at_ms": at_ms, "state": state, "note": note})
