"""
The SQL of what re-submissions take back: the terminations that may be followed, the runs that follow, and what was taken.

What is on record is only raised, and never beyond the saving that it is taken from, so counters can follow it.
Every function works in the transaction of its caller.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

import sqlalchemy as sa

from guard.core.clawback import Clawback, Submitted, Terminated
from guard.core.facts import JobKey
from guard.core.periods import scaled, unscaled
from guard.core.protocol import Outcome
from guard.core.work import Work
from guard.ledger import audit, words
from guard.ledger.historyrows import run_of
from guard.ledger.historytables import history
from guard.ledger.rows import Row, key_columns, key_of, loaded
from guard.ledger.tables import clawbacks, intents
from guard.ports.savings import Potential

# Not the estimates, of which one is as large as all of this of many intents.
_TERMINATED = (
    "number",
    "region",
    "project_id",
    "job_id",
    "run",
    "work",
    "sending_ms",
    "accepted_ms",
    "currency",
    "savings_expected",
    "savings_assumed",
)
_WORDS = ("phase_word", "place_word", "parts_word", "user_word", "stem_word", "currency_word", "policy_word")


def terminated(connection: sa.Connection, since_ms: int) -> list[Terminated]:
    """
    Return confirmed terminations since that moment that saved something, measured or assumed.
    """
    wanted = sa.select(*(intents.c[name] for name in _TERMINATED)).where(
        intents.c.outcome == Outcome.CONFIRMED.value,
        intents.c.savings_estimate.is_not(None),
        intents.c.sending_ms >= since_ms,
    )
    found = []
    for row in connection.execute(wanted.order_by(intents.c.number)).mappings():
        saving, work = _saving(row), loaded(row["work"], Work)
        if saving > 0 and work is not None and work.like.user and work.like.stem:
            found.append(
                Terminated(
                    number=row["number"],
                    key=key_of(row),
                    run=row["run"],
                    user=work.like.user,
                    stem=work.like.stem,
                    at_ms=row["accepted_ms"] or row["sending_ms"],
                    saving=saving,
                    currency=row["currency"],
                    assumed=row["savings_expected"] is None,
                )
            )
    return found


def submitted(connection: sa.Connection, terminations: Sequence[Terminated]) -> list[Submitted]:
    """
    Return the runs of the history that may be re-submissions of these: of their users and stems, ended since the first.
    """
    if not terminations:
        return []
    users = {one.user for one in terminations if one.user is not None}
    numbers = words.found_of(connection, users)
    # A name of which nothing is left has the empty stem, and stands as a whole in the rest.
    stems = sorted(words.found_of(connection, {"", *(one.stem for one in terminations if one.stem is not None)}).values())
    since_ms, found = min(one.at_ms for one in terminations), []
    for some, work in product(
        words.portions(sorted(numbers.values()), words.AT_ONCE), list(words.portions(stems, words.AT_ONCE))
    ):
        like = sa.and_(history.c.user_word.in_(some), history.c.stem_word.in_(work))
        wanted = sa.select(history).where(history.c.ended_ms >= since_ms, like)
        rows = connection.execute(wanted).all()
        texts = words.texts_of(connection, {number for row in rows for name in _WORDS if (number := getattr(row, name))})
        for row in rows:
            run, began_ms = run_of(row, texts), row.ended_ms - (row.span_ms or row.running_ms or 0)
            created_ms = began_ms if row.run > 1 or row.age_ms is None else row.ended_ms - row.age_ms
            stem = None if row.stem_word is None else texts[row.stem_word] or row.rest
            found.append(
                Submitted(
                    key=run.key,
                    run=run.run,
                    user=run.user,
                    stem=stem,
                    created_ms=created_ms,
                    cost=run.cost,
                    currency=run.currency,
                )
            )
    return found


def claw_back(connection: sa.Connection, taken: Sequence[Clawback], *, at_ms: int) -> list[Potential]:
    """
    Record what was taken back as far as it is more than what is on record; return by how much each saving fell.
    """
    found = []
    for one in taken:
        intent = connection.execute(sa.select(intents).where(intents.c.number == one.number)).mappings().one()
        key = (*key_columns(one.key).values(), one.run)
        before = {
            (row.region, row.project_id, row.job_id, row.run): scaled(row.amount)
            for row in connection.execute(sa.select(clawbacks).where(clawbacks.c.intent == one.number))
        }
        left = scaled(_saving(intent)) - sum(amount for other, amount in before.items() if other != key)
        amount, known = min(scaled(one.amount), left), before.get(key, 0)
        if amount <= known:
            continue
        values = {"amount": unscaled(amount), "at_ms": at_ms}
        if key in before:
            here = sa.and_(clawbacks.c.intent == one.number, clawbacks.c.run == one.run, _is(one.key))
            connection.execute(sa.update(clawbacks).where(here).values(values))
        else:
            values |= {"currency": one.currency, "assumed": one.assumed}
            rest = {"intent": one.number, "run": one.run, **key_columns(one.key)}
            connection.execute(sa.insert(clawbacks).values(**rest, **values))
        taken_back = {"clawbacks": [audit.kept({**key_columns(one.key), "run": one.run, **values})]}
        audit.append(connection, intent["target"], "clawed_back", taken_back, at_ms=at_ms, intent=one.number)
        fell, about = unscaled(amount - known), {"target": intent["target"], "policy": intent["policy"]}
        found.append(Potential(**about, currency=one.currency, amount=fell, assumed=one.assumed))
    return found


def clawed_back(connection: sa.Connection) -> list[Potential]:
    """
    Return what was taken back of savings, by target, policy and currency; of measured and of assumed ones apart.
    """
    sums: defaultdict[tuple[str, str, str, bool], int] = defaultdict(int)
    columns = intents.c.target, intents.c.policy, clawbacks.c.currency, clawbacks.c.assumed, clawbacks.c.amount
    for row in connection.execute(sa.select(*columns).join(intents, intents.c.number == clawbacks.c.intent)):
        sums[row.target, row.policy, row.currency, row.assumed] += scaled(row.amount)
    return [
        Potential(target=target, policy=policy, currency=currency, amount=unscaled(amount), assumed=assumed)
        for (target, policy, currency, assumed), amount in sorted(sums.items())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    What was taken back of one saving, which is either measured or assumed.
    """

    measured: Decimal = Decimal(0)
    assumed: Decimal = Decimal(0)


def taken_of_each(connection: sa.Connection, first: int, last: int) -> dict[int, Taken]:
    """
    Return what was taken back of the savings of the intents of these numbers, the borders included.
    """
    sums: defaultdict[int, dict[str, int]] = defaultdict(lambda: {"measured": 0, "assumed": 0})
    columns = clawbacks.c.intent, clawbacks.c.assumed, clawbacks.c.amount
    for row in connection.execute(sa.select(*columns).where(clawbacks.c.intent.between(first, last))):
        sums[row.intent]["assumed" if row.assumed else "measured"] += scaled(row.amount)
    return {number: Taken(**{name: unscaled(amount) for name, amount in of.items()}) for number, of in sums.items()}


def _saving(row: Row) -> Decimal:
    saving = row["savings_assumed"] if row["savings_expected"] is None else row["savings_expected"]
    return Decimal(0) if saving is None else Decimal(saving)


def _is(key: JobKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(clawbacks.c[name] == value for name, value in key_columns(key).items()))
