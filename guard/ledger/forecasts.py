"""
The forecasts in a SQL ledger: what an estimate at the match said of runs that a policy only observed.

What the run was then is on record from the match on (``basis``); the estimate follows, and stands beside its inputs.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from fractions import Fraction

import sqlalchemy as sa

from guard.core.estimate import Estimate, Inputs
from guard.core.facts import JobKey
from guard.ledger.fence import Match
from guard.ledger.hindsight import OBSERVED, from_ms_of, potential_of, spared_of
from guard.ledger.rows import Row, key_of, loaded
from guard.ledger.rows import dumped as as_json
from guard.ledger.tables import TO_FORECAST, findings
from guard.ledger.transactions import Transactions
from guard.ports.forecasts import Asked, Kept

PAGE = 100
# One that had ended before the match was never to be ended, and its own end may not be in what is known of others.
_NOT_OVER = sa.or_(
    findings.c.ended_ms.is_(None),
    sa.and_(findings.c.ended_ms >= findings.c.at_ms, findings.c.ended_ms >= sa.func.coalesce(findings.c.deadline_ms, 0)),
)
_PUT = (
    sa.update(findings)
    .where(findings.c.id == sa.bindparam("of"), TO_FORECAST)
    .values(expected=sa.bindparam("new_expected"), forecast=sa.bindparam("new_forecast"))
)


class SqlForecasts:
    """
    The forecasts in a SQL ledger. It implements the ``Forecasts`` port.
    """

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    async def asked(self, *, limit: int, mine: Callable[[JobKey], bool] = lambda key: True) -> Sequence[Asked]:
        """
        Return observed matches without a forecast whose run had a price and had not ended before, oldest first, of the jobs
        that are *mine*.
        """
        return await self._ledger.read("give what is to be forecast", lambda at: asked(at, limit, mine))

    async def put(self, estimates: Mapping[int, Estimate]) -> int:
        """
        Record forecasts by the number of their match, each once; return how many had none.
        """
        return await self._ledger.write(
            "record forecasts", lambda at: put(at, estimates), of=[Match(number=one) for one in estimates]
        )

    async def kept(self) -> AsyncIterator[Sequence[Kept]]:
        """
        Yield what is stored of observed matches that have a forecast or whose run is over, oldest first, page by page.
        """
        after = -1
        while True:
            page = await self._ledger.read("give the forecasts", lambda at, after=after: kept(at, after))  # type: ignore[misc]
            if not page:
                return
            yield page
            after = page[-1].number


def asked(connection: sa.Connection, limit: int, mine: Callable[[JobKey], bool] = lambda key: True) -> list[Asked]:
    """
    Return observed matches that are to be forecast.

    A row that makes no sense keeps no other one waiting; once only such are left, ``ValueError`` names the first.
    """
    columns = [findings.c[name] for name in ("id", "at_ms", "deadline_ms", "basis", "region", "project_id", "job_id")]
    found, wrong = list[Asked](), list[ValueError]()
    wanted = sa.select(*columns).where(OBSERVED, TO_FORECAST, _NOT_OVER).order_by(findings.c.id)
    for row in connection.execute(wanted).mappings():
        if not mine(key_of(row)):
            continue
        try:
            basis = loaded(row["basis"], Inputs)
            assert basis is not None  # noqa: S101 - as the query says
            Fraction(basis.per_hour)
            found.append(Asked(number=row["id"], basis=basis, at_ms=from_ms_of(row)))
        except (ValueError, ArithmeticError) as error:
            wrong.append(ValueError(f"match {row['id']}: {error}"))
        if len(found) >= limit:
            break
    if wrong and not found:
        raise wrong[0]
    return found


def put(connection: sa.Connection, estimates: Mapping[int, Estimate]) -> int:
    """
    Record forecasts, each once; return how many had none.
    """
    new = 0
    for number, one in estimates.items():
        changed = {"of": number, "new_expected": one.figures.expected, "new_forecast": as_json(one)}
        new += connection.execute(_PUT, changed).rowcount
    return new


def kept(connection: sa.Connection, after: int) -> list[Kept]:
    """
    Return a page of what is stored of observed matches.
    """
    stored = sa.or_(findings.c.forecast.is_not(None), findings.c.ending.is_not(None), findings.c.expected.is_not(None))
    wanted = sa.select(findings, findings.c.forecast.is_not(None).label("has_forecast"))
    wanted = wanted.where(OBSERVED, stored, findings.c.id > after).order_by(findings.c.id).limit(PAGE)
    return [_kept(row) for row in connection.execute(wanted).mappings()]


def _kept(row: Row) -> Kept:
    over = spared_of(row) if row["ending"] is not None else None
    try:
        return Kept(
            number=row["id"],
            policy=row["policy"],
            at_ms=from_ms_of(row),
            basis=loaded(row["basis"], Inputs),
            expected=row["expected"],
            estimate=loaded(row["forecast"], Estimate),
            potential=row["potential"],
            measured=None if over is None else potential_of(over),
        )
    except ValueError as error:
        raise ValueError(f"match {row['id']}: {error}") from error
