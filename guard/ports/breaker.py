"""
The record of the breaker.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Protocol

from guard.core.breaker import Breaker, Confirmation, Scope
from guard.core.facts import JobKey
from guard.core.plan import Rule
from guard.core.windows import Window


class BreakerBook(Protocol):
    """
    When the breaker opened and closed, its levels, and which policies a person confirmed. Raises ``LedgerUnusable``.
    """

    async def unclosed(self) -> Sequence[Breaker]:
        """
        Return the breakers that nobody closed, by a reading that began after the call; the time of some may be over.
        """
        ...

    async def newest(self, *, limit: int) -> Sequence[Breaker]:
        """
        Return the breakers that were opened last, newest first.
        """
        ...

    async def open(self, breaker: Breaker) -> bool:
        """
        Put an open breaker on record; False if it is open already.
        """
        ...

    async def reset(self, *, by: str, reason: str, at_ms: int, only: tuple[Scope, str] | None = None) -> Sequence[Breaker]:
        """
        Close what is open, or *only* what is for that policy or target, and forget its level; return what was closed.
        """
        ...

    async def levels(self) -> Mapping[tuple[str, str], tuple[str, int]]:
        """
        Return the remembered levels as text and when they were recorded, by cause and name.
        """
        ...

    async def set_levels(self, wanted: Mapping[tuple[str, str], str], *, at_ms: int) -> None:
        """
        Insert or replace these levels.
        """
        ...

    async def confirm(self, confirmation: Confirmation) -> bool:
        """
        Record that a person confirmed a policy; False if somebody did before.
        """
        ...

    async def confirmed(self) -> Sequence[Confirmation]:
        """
        Return the confirmations, newest first.
        """
        ...

    async def acted(self, rules: Collection[Rule]) -> Mapping[Rule, Set[JobKey]]:
        """
        Return the jobs that each of these policies has acted on, without those policies that a person confirmed.
        """
        ...

    async def window(self, *, since_ms: int) -> Window:
        """
        Return the sums over the intents that count against the limits since that moment.
        """
        ...
