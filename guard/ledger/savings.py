"""
The savings in a SQL ledger: the estimates of confirmed terminations, and every run that the guard stopped.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from fractions import Fraction

import sqlalchemy as sa

from guard.core.clawback import Clawback, Submitted, Terminated
from guard.core.estimate import Estimate, Stopped
from guard.core.facts import ABSENT, JobKey
from guard.core.periods import Period
from guard.core.protocol import Outcome
from guard.core.records import Intent
from guard.core.work import Basis, Work, stopped_run
from guard.ledger import audit, clawbacks
from guard.ledger.hindsight import potentials
from guard.ledger.historytables import history
from guard.ledger.rows import Row, dumped, intent_of, key_of, loaded
from guard.ledger.tables import intents
from guard.ledger.transactions import Transactions
from guard.ports.savings import Pending, Potential, Stop

# An estimate with its life table and the reasons of its intent are some ten thousand characters.
PAGE = 100
# After a call of ours these may be its doing, though only the first is claimed.
MAY_BE_OURS = tuple(one.value for one in (Outcome.CONFIRMED, Outcome.UNCONFIRMED, Outcome.GONE, Outcome.FAILED))
STOPPED = sa.and_(intents.c.sending_ms.is_not(None), intents.c.outcome.in_(MAY_BE_OURS))
_CONFIRMED = intents.c.outcome == Outcome.CONFIRMED.value
_TO_ESTIMATE = sa.and_(
    _CONFIRMED, intents.c.savings_estimate.is_(None), intents.c.basis.is_not(None), intents.c.work.is_not(None)
)
_FIGURES = ("savings_expected", "savings_lower", "savings_assumed", "savings_estimate")
_PUT = (
    sa.update(intents)
    .where(intents.c.number == sa.bindparam("of"), _TO_ESTIMATE)
    .values({name: sa.bindparam(f"new_{name}") for name in ("savings_expected", "savings_lower", "savings_assumed")})
    .values(savings_estimate=sa.bindparam("new_estimate"))
    .returning(intents)
)


class SqlSavings:
    """
    The savings in a SQL ledger. It implements the ``Savings`` port.
    """

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    async def pending(self, *, limit: int, mine: Callable[[JobKey], bool] = lambda key: True) -> Sequence[Pending]:
        """
        Return confirmed terminations of known cost without an estimate, oldest first, of the jobs that are *mine*.
        """
        return await self._ledger.read("give what is to be estimated", lambda at: pending(at, limit, mine))

    async def put(self, estimates: Mapping[int, Estimate]) -> Sequence[Intent]:
        """
        Record estimates by the number of their intent, each once; return those intents that had none.
        """
        return await self._ledger.write("record savings", lambda at: put(at, estimates), of=list(estimates))

    async def stops(self) -> Sequence[Stop]:
        """
        Return every run that a call of the guard may have ended, for as long as there is a ledger.
        """
        return await self._ledger.read("give what the guard stopped", stops)

    async def since(self, *, newest: int) -> int:
        """
        Return the moment from which on the history holds at most so many runs.
        """
        return await self._ledger.read("look into the history", lambda at: since(at, newest))

    async def counted(self) -> tuple[Sequence[Potential], Sequence[Potential]]:
        """
        Return what policies that only observe would have saved, and what was taken back of savings (of measured and assumed
        ones apart), so far, by target, policy and currency.
        """
        return await self._ledger.read("sum up savings", lambda at: (potentials(at), clawbacks.clawed_back(at)))

    async def terminated(self, *, since_ms: int) -> Sequence[Terminated]:
        """
        Return confirmed terminations since that moment that saved something.
        """
        return await self._ledger.read("give what may be submitted again", lambda at: clawbacks.terminated(at, since_ms))

    async def submitted(self, terminations: Sequence[Terminated]) -> Sequence[Submitted]:
        """
        Return the runs that are over and may be re-submissions of these.
        """
        return await self._ledger.read("look for re-submissions", lambda at: clawbacks.submitted(at, terminations))

    async def claw_back(self, taken: Sequence[Clawback], *, at_ms: int) -> Sequence[Potential]:
        """
        Record what was taken back as far as it is more than what is on record, and never more than was saved.
        """
        of = [one.number for one in taken]
        return await self._ledger.write("take savings back", lambda at: clawbacks.claw_back(at, taken, at_ms=at_ms), of=of)

    async def estimates(
        self, *, period: Period | None = None
    ) -> AsyncIterator[Sequence[tuple[Intent, Estimate | None, Basis | None]]]:
        """
        Yield all confirmed terminations (those closed in a period) with their estimates and what the ended job told, oldest
        first, page by page.
        """
        after = -1
        while True:
            page = await self._ledger.read("give the savings", lambda at, after=after: estimates(at, after, period))  # type: ignore[misc]
            if not page:
                return
            yield page
            after = page[-1][0].number


def pending(connection: sa.Connection, limit: int, mine: Callable[[JobKey], bool] = lambda key: True) -> list[Pending]:
    """
    Return confirmed terminations of known cost without an estimate, oldest first.

    A row that makes no sense keeps no other one waiting; once only such are left, ``ValueError`` names the first.
    """
    names = ("number", "work", "basis", "cost_per_hour", "currency", "region", "project_id", "job_id")
    columns = [intents.c[name] for name in names]
    found, wrong = list[Pending](), list[ValueError]()
    for row in connection.execute(sa.select(*columns).where(_TO_ESTIMATE).order_by(intents.c.number)).mappings():
        if not mine(key_of(row)):
            continue
        try:
            found.append(_pending(row))
        except (ValueError, ArithmeticError) as error:
            wrong.append(ValueError(f"intent {row['number']}: {error}"))
        if len(found) >= limit:
            break
    if wrong and not found:
        raise wrong[0]
    return found


def _pending(row: Row) -> Pending:
    work, basis = loaded(row["work"], Work), loaded(row["basis"], Basis)
    assert work is not None  # noqa: S101 - as the query says
    assert basis is not None  # noqa: S101
    stopped = Stopped(
        like=work.like,
        elapsed_ms=basis.elapsed_ms,
        per_hour=Fraction(row["cost_per_hour"]),
        currency=row["currency"],
        auto_stop_ms=ABSENT if basis.auto_stop_ms is None else basis.auto_stop_ms,
    )
    return Pending(number=row["number"], stopped=stopped, horizon_ms=basis.horizon_ms)


def put(connection: sa.Connection, estimates: Mapping[int, Estimate]) -> list[Intent]:
    """
    Record estimates, each once; return the intents that had none.
    """
    found = []
    for number, one in estimates.items():
        changed = {
            "of": number,
            "new_savings_expected": one.figures.expected,
            "new_savings_lower": one.figures.lower,
            "new_savings_assumed": one.figures.assumed,
            "new_estimate": dumped(one),
        }
        row = connection.execute(_PUT, changed).mappings().one_or_none()
        if row is not None:
            figures = {"set": audit.kept({name: row[name] for name in _FIGURES})}
            audit.append(connection, row["target"], "estimated", figures, at_ms=None, intent=number)
            found.append(intent_of(row))
    return found


def stops(connection: sa.Connection) -> list[Stop]:
    """
    Return every run that a call of the guard may have ended.
    """
    names = ("region", "project_id", "job_id", "run", "work", "sending_ms", "accepted_ms")
    found = []
    for row in connection.execute(sa.select(*(intents.c[name] for name in names)).where(STOPPED)).mappings():
        work = loaded(row["work"], Work)
        if work is not None:
            past = stopped_run(work, at_ms=row["accepted_ms"] or row["sending_ms"])
            found.append(Stop(key=key_of(row), run=row["run"], past=past))
    return found


def since(connection: sa.Connection, newest: int) -> int:
    """
    Return the moment from which on the history holds at most so many runs; 0 if it holds no more than that at all.
    """
    ended = history.c.ended_ms
    row = connection.execute(sa.select(ended).order_by(ended.desc()).offset(newest).limit(1)).scalar()
    return 0 if row is None else int(row) + 1


def estimates(
    connection: sa.Connection, after: int, period: Period | None = None
) -> list[tuple[Intent, Estimate | None, Basis | None]]:
    """
    Return a page of confirmed terminations with their estimates and what the ended job told.
    """
    wanted = sa.select(intents).where(_CONFIRMED, intents.c.number > after).order_by(intents.c.number).limit(PAGE)
    if period is not None:
        wanted = wanted.where(intents.c.closed_ms >= period.from_ms, intents.c.closed_ms < period.to_ms)
    return [(intent_of(row), *_kept(row)) for row in connection.execute(wanted).mappings()]


def _kept(row: Row) -> tuple[Estimate | None, Basis | None]:
    try:
        return loaded(row["savings_estimate"], Estimate), loaded(row["basis"], Basis)
    except ValueError as error:
        raise ValueError(f"intent {row['number']}: {error}") from error
