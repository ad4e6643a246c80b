"""
The record of what an estimate at the match said of runs that a policy only observed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from guard.core.estimate import Estimate, Inputs
from guard.core.facts import JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    An observed match whose forecast is still to be made: what the run was at *at_ms*, from when on it would not have run.
    """

    number: int
    basis: Inputs
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    What is stored of an observed match: the forecast (*expected* and the whole *estimate*) with the *basis* from before it,
    and the *potential* beside what it follows from, *measured*.
    """

    number: int
    policy: str
    at_ms: int
    basis: Inputs | None
    expected: Decimal | None
    estimate: Estimate | None
    potential: Decimal | None
    measured: Decimal | None


class Forecasts(Protocol):
    """
    The forecasts in the ledger. Every method raises ``LedgerUnusable`` if it cannot be read or written.
    """

    async def asked(self, *, limit: int, mine: Callable[[JobKey], bool] = ...) -> Sequence[Asked]:
        """
        Return observed matches without a forecast whose run had a price and had not ended before, oldest first, of the jobs
        that are *mine*.
        """
        ...

    async def put(self, estimates: Mapping[int, Estimate]) -> int:
        """
        Record forecasts by the number of their match, each once; return how many had none.
        """
        ...

    def kept(self) -> AsyncIterator[Sequence[Kept]]:
        """
        Yield what is stored of observed matches that have a forecast or whose run is over, oldest first, page by page.
        """
        ...
