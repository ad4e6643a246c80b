"""
Terminations before all else: what may wait gives way while one is on its way from its deadline to its call.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from guard.core.facts import JobKey

# For so long at most a page of a walk waits, and a reading that only confirms. A walk of 100,000 jobs in pages of 50 thus
# takes eight minutes at least beside terminations without end, less than from one walk to the next.
LONGEST_PAGE_S = 0.25
LONGEST_CONFIRM_S = 0.25
# One that takes longer waits for something else: for a target that does not answer, or for its next try.
LONGEST_URGENT_S = 5.0


@dataclass(slots=True)
class Precedence:
    """
    The jobs whose termination is on its way: due, and neither accepted nor given up.

    All of them share one thread with walks and confirmations, and a step of one waits for whatever else is ready. So what is
    not urgent begins when none is on its way, or after a bounded time.
    """

    _urgent: set[JobKey] = field(default_factory=set)
    _newest_s: float = 0.0
    _free: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, keys: Iterable[JobKey]) -> None:
        """
        Let others give way to the terminations of these jobs.
        """
        before = len(self._urgent)
        self._urgent.update(keys)
        if len(self._urgent) > before:
            self._newest_s = asyncio.get_running_loop().time()
            self._free.clear()

    def end(self, keys: Iterable[JobKey]) -> None:
        """
        Let nobody give way to these any more.
        """
        self._urgent.difference_update(keys)
        if not self._urgent:
            self._free.set()

    async def give_way(self, longest_s: float) -> None:
        """
        Return once no termination is on its way, or after that time; at once if the newest one has been for long.
        """
        if self._urgent and asyncio.get_running_loop().time() - self._newest_s < LONGEST_URGENT_S:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    await self._free.wait()
