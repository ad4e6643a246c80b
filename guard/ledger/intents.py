"""
The SQL of intents: opened within the limits, advanced step by step, closed once.

Every function works in the transaction of its caller. Those that write rely on being the only writer while they run.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Context, Decimal
from typing import Any

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.periods import Period
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Draft, Intent, Quota, Tally
from guard.errors import LedgerUnusable
from guard.ledger import audit, room
from guard.ledger.engine import insert
from guard.ledger.prepared import Prepared
from guard.ledger.rows import DRAFT, Row, draft_columns, dumped, intent_of, key_of
from guard.ledger.tables import AnyText, intents, steps

# What may follow what; a call is on record before it is sent, every time.
FOLLOWS = {
    State.INTENDED: frozenset({State.SENDING}),
    State.SENDING: frozenset({State.SENDING, State.DENIED, State.ACCEPTED}),
    State.DENIED: frozenset({State.SENDING}),
    State.ACCEPTED: frozenset[State](),
}
# More digits than any sum of money has, so that sums are exact.
EXACT = Context(prec=200)

# What is summed of confirmed terminations.
SAVINGS = ("savings_upper", "savings_expected", "savings_lower", "savings_assumed")

_IS_OPEN = intents.c.outcome.is_(None)
# What a draft does not hold; the rest never changes, so whoever knows the draft need not read it again.
_CHANGING = tuple(column for column in intents.c if column.name not in DRAFT)
_KEYS_COLUMNS = tuple(intents.c[name] for name in ("region", "project_id", "job_id", "number"))
_OPEN_KEYS = Prepared(sa.select(*_KEYS_COLUMNS).where(_IS_OPEN).order_by(intents.c.number), columns=_KEYS_COLUMNS)
_OPEN_SINCE = sa.select(sa.func.count(), sa.func.min(intents.c.created_ms)).where(_IS_OPEN)


def _advance_to(state: State) -> Prepared:
    before = sa.or_(*(intents.c.state == each.value for each, following in FOLLOWS.items() if state in following))
    changed: dict[str, Any] = {
        "state": state.value,
        "note": sa.func.coalesce(sa.bindparam("new_note", type_=AnyText), intents.c.note),
    }
    moment = sa.bindparam("new_ms", type_=sa.BigInteger)
    if state is State.SENDING:
        changed["sending_ms"] = sa.func.coalesce(intents.c.sending_ms, moment)
        changed["last_sending_ms"] = moment
    if state is State.ACCEPTED:
        changed["accepted_ms"] = moment
    return Prepared(_OF.where(before).values(changed).returning(*_CHANGING), columns=_CHANGING)


# Built once: putting a statement together takes longer than the database takes to carry it out.
_OF = sa.update(intents).where(intents.c.number == sa.bindparam("of"), _IS_OPEN)
_OPEN = Prepared(
    insert(intents)
    .on_conflict_do_nothing(index_elements=["region", "project_id", "job_id"], index_where=_IS_OPEN)
    .returning(intents.c.number),
    columns=(intents.c.number,),
)
_ADVANCE = {state: _advance_to(state) for state in (State.SENDING, State.DENIED, State.ACCEPTED)}
_CLOSE = Prepared(
    _OF.values(
        state=State.CLOSED.value,
        outcome=sa.bindparam("new_outcome"),
        closed_ms=sa.bindparam("new_closed_ms"),
        note=sa.bindparam("new_note"),
        cost=sa.bindparam("new_cost"),
        savings_upper=sa.bindparam("new_savings_upper"),
        basis=sa.bindparam("new_basis"),
    ).returning(*_CHANGING),
    columns=_CHANGING,
)
_STEP = Prepared(sa.insert(steps))
_ONE = Prepared(sa.select(intents).where(intents.c.number == sa.bindparam("of")), columns=tuple(intents.c))


def open_one(connection: sa.Connection, draft: Draft, *, at_ms: int, quota: Quota | None) -> Intent | None:
    """
    Record an intent, or return None if the job has an open one or the quota has no room.
    """
    if quota is not None and not room.fits(connection, draft, quota):
        return None
    made = draft_columns(draft) | {"state": State.INTENDED.value, "created_ms": at_ms, "note": ""}
    row = _OPEN.one(connection, made)
    if row is None:
        return None
    intent = Intent(number=row["number"], draft=draft, state=State.INTENDED, created_ms=at_ms)
    return _append(connection, intent, made, at_ms=at_ms, step=State.INTENDED.value, note="")


def advance(
    connection: sa.Connection, number: int, state: State, *, at_ms: int, note: str, draft: Draft | None = None
) -> Intent:
    """
    Record a step of an open intent; raises ``LedgerUnusable`` if it is closed or the step may not follow its state.

    Whoever knows its *draft* saves the reading of it, here and in ``close``.
    """
    if state not in _ADVANCE:
        raise _why_not(connection, number, state)
    changed = {"of": number, "new_note": note or None, "new_ms": at_ms}
    row = _ADVANCE[state].one(connection, changed)
    if row is None:
        raise _why_not(connection, number, state)
    return _append(connection, _changed(connection, row, draft), row, at_ms=at_ms, step=state.value, note=note)


def close(connection: sa.Connection, number: int, closing: Closing, *, at_ms: int, draft: Draft | None = None) -> Intent:
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
    row = _CLOSE.one(connection, changed)
    if row is None:
        raise _why_not(connection, number, State.CLOSED)
    intent = _changed(connection, row, draft)
    return _append(connection, intent, row, at_ms=at_ms, step=closing.outcome.value, note=closing.note)


def open_ones(connection: sa.Connection, besides: Collection[JobKey]) -> list[Intent]:
    """
    Return the open intents, oldest first, without those of the jobs *besides*, of which only the index is read.
    """
    found = [one(connection, row["number"]) for row in _OPEN_KEYS.rows(connection, {}) if key_of(row) not in besides]
    return [intent for intent in found if intent is not None]


def open_since(connection: sa.Connection) -> tuple[int, int | None]:
    """
    Count the open intents, and tell when the oldest was made.
    """
    count, oldest_ms = connection.execute(_OPEN_SINCE).one()
    return count, oldest_ms


def newest(connection: sa.Connection, *, job_id: str | None, limit: int) -> list[Intent]:
    """
    Return the newest intents, of one job id if it is given.
    """
    wanted = sa.select(intents).order_by(intents.c.number.desc()).limit(limit)
    if job_id is not None:
        wanted = wanted.where(intents.c.job_id == job_id)
    return [intent_of(row) for row in connection.execute(wanted).mappings()]


def outcomes_in(connection: sa.Connection, period: Period) -> dict[Outcome, int]:
    """
    Count the intents that were closed in a period by their outcome.
    """
    ended = intents.c.closed_ms
    wanted = sa.select(intents.c.outcome, sa.func.count()).where(ended >= period.from_ms, ended < period.to_ms)
    wanted = wanted.where(intents.c.outcome.is_not(None)).group_by(intents.c.outcome)
    return {Outcome(outcome): count for outcome, count in connection.execute(wanted)}


def one(connection: sa.Connection, number: int) -> Intent | None:
    """
    Return the intent of that number, if there is one.
    """
    row = _ONE.one(connection, {"of": number})
    return None if row is None else intent_of(row)


def steps_of(connection: sa.Connection, number: int) -> list[tuple[int, str, str]]:
    """
    Return (moment, state or outcome, note) of every step, in the order of recording.
    """
    wanted = sa.select(steps.c.at_ms, steps.c.state, steps.c.note).where(steps.c.intent == number).order_by(steps.c.id)
    return [(row.at_ms, row.state, row.note) for row in connection.execute(wanted)]


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


def _changed(connection: sa.Connection, row: Mapping[str, Any], draft: Draft | None) -> Intent:
    if draft is not None:
        return intent_of(row, draft)
    whole = _ONE.one(connection, {"of": row["number"]})
    return intent_of(whole or row)


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


def _append(connection: sa.Connection, intent: Intent, row: Row, *, at_ms: int, step: str, note: str) -> Intent:
    """
    Record the step that was taken, and in the audit what the *row* of the intent holds since; return the intent.
    """
    _STEP.rows(connection, {"intent": intent.number, "at_ms": at_ms, "state": step, "note": note})
    made = {name: value for name, value in row.items() if value is not None and name != "number"}
    content = {"set": audit.kept(made), "steps": [audit.step(at_ms, step, note)]}
    audit.append(connection, intent.draft.target, step, content, at_ms=at_ms, intent=intent.number)
    return intent
