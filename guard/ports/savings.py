"""
The record of what confirmed terminations saved.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from guard.core.clawback import Clawback, Submitted, Terminated
from guard.core.estimate import Estimate, Stopped
from guard.core.facts import JobKey
from guard.core.likeness import PastRun
from guard.core.periods import Period
from guard.core.records import Intent
from guard.core.work import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """
    A confirmed termination whose savings are still to be estimated, over the horizon that was in force.
    """

    number: int
    stopped: Stopped
    horizon_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """
    A run that the guard stopped, or may have stopped.
    """

    key: JobKey
    run: int
    past: PastRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Potential:
    """
    An amount for a target and a policy: what would have been saved, measured, or what was taken back of what was, *assumed*
    if that was.
    """

    target: str
    policy: str
    currency: str
    amount: Decimal
    assumed: bool = False


class Savings(Protocol):
    """
    The estimates in the ledger. Every method raises ``LedgerUnusable`` if it cannot be read or written.
    """

    async def pending(self, *, limit: int, mine: Callable[[JobKey], bool] = ...) -> Sequence[Pending]:
        """
        Return confirmed terminations of known cost without an estimate, oldest first, of the jobs that are *mine*.
        """
        ...

    async def put(self, estimates: Mapping[int, Estimate]) -> Sequence[Intent]:
        """
        Record estimates by the number of their intent, each once; return those intents that had none.
        """
        ...

    async def stops(self) -> Sequence[Stop]:
        """
        Return every run that a call of the guard may have ended, for as long as there is a ledger.
        """
        ...

    async def since(self, *, newest: int) -> int:
        """
        Return the moment from which on the history holds at most so many runs.
        """
        ...

    async def counted(self) -> tuple[Sequence[Potential], Sequence[Potential]]:
        """
        Return what policies that only observe would have saved, and what was taken back of savings (of measured and assumed
        ones apart), so far, by target, policy and currency.
        """
        ...

    async def terminated(self, *, since_ms: int) -> Sequence[Terminated]:
        """
        Return confirmed terminations since that moment that saved something.
        """
        ...

    async def submitted(self, terminations: Sequence[Terminated]) -> Sequence[Submitted]:
        """
        Return the runs that are over and may be re-submissions of these.
        """
        ...

    async def claw_back(self, taken: Sequence[Clawback], *, at_ms: int) -> Sequence[Potential]:
        """
        Record what was taken back as far as it is more than what is on record, and never more than was saved; return by how
        much each saving fell.
        """
        ...

    def estimates(
        self, *, period: Period | None = None
    ) -> AsyncIterator[Sequence[tuple[Intent, Estimate | None, Basis | None]]]:
        """
        Yield all confirmed terminations (those closed in a period) with their estimates and what the ended job told, oldest
        first, page by page.
        """
        ...
