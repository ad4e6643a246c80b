"""
The record of runs that are over.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from guard.core.ended import Ended, RunRecord
from guard.core.facts import Job, JobKey
from guard.core.likeness import PastRun
from guard.core.sighting import Sighting
from guard.ports.savings import Potential


class History(Protocol):
    """
    The durable record of how runs ended. Every method raises ``LedgerUnusable`` if it cannot be read or written.

    A run whose job's facts are on record, and whose end is not, is one that goes on or whose end is still to be read.
    """

    async def last_known(self, keys: Collection[JobKey]) -> Mapping[JobKey, tuple[Job | None, Sighting]]:
        """
        Return what was last known of those of these jobs whose run has no end on record.

        The facts are None if an earlier version of the guard wrote them in another way.
        """
        ...

    async def busy(self, keys: Collection[JobKey]) -> Collection[JobKey]:
        """
        Return those of these jobs that have an intent without an outcome, so that whose doing their end is may not be known.
        """
        ...

    async def left(self, target: str) -> Sequence[JobKey]:
        """
        Return the jobs of a target that were not live when they were last seen, and whose end is not on record.
        """
        ...

    async def put(
        self, ends: Sequence[Ended], *, seen: Sequence[Sighting], facts: Mapping[JobKey, Job] = ...
    ) -> Sequence[Potential]:
        """
        Record ends, each once per (job, run), and remember the jobs as ``Ledger.remember`` does, in one transaction; return
        what policies that only observed these runs would have saved.

        *seen* holds the memory of every job whose end is given.
        """
        ...

    async def forget(self, *, before_ms: int, limit: int) -> int:
        """
        Drop at most *limit* rows of runs that ended before that moment; return how many.
        """
        ...

    async def forget_findings(self, *, before_ms: int, limit: int) -> int:
        """
        Drop at most *limit* findings of jobs that are not remembered, recorded before that moment; return how many.

        What they add up to stays in the counts and sums.
        """
        ...

    async def newest(self, *, limit: int = 100) -> Sequence[RunRecord]:
        """
        Return the runs that ended last, the newest first.
        """
        ...

    def lives(self, *, from_ms: int, to_ms: int) -> AsyncIterator[Sequence[PastRun]]:
        """
        Yield the runs that ended in that time and whose running time is known, in the order of their ends, page by page.

        Runs that still go on are not among them; ``Ledger.known`` gives these.
        """
        ...
