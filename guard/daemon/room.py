"""
How much room the limits leave now: what they allow, what is used, and whether the inventories are fresh enough to say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from guard.core.limits import Allowance, Limits, allowance, is_stale
from guard.core.plan import Hold
from guard.core.records import Quota
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.ports import Ledger

STALE = Hold(reason="stale_inventory", text="no complete walk of this target ended within the last three")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """
    The limits over the targets that are watched; *limits* is None if they were removed.
    """

    limits: Limits | None
    walk_every_ms: int
    targets: Mapping[str, Target]
    view: View

    def stale(self) -> dict[str, Hold]:
        """
        Return what holds a target back because a percentage of its newest complete inventory means nothing any more.
        """
        if self.limits is None or self.limits.max_percent_of_running is None:
            return {}
        return {name: STALE for name in self.targets if self._is_stale(name)}

    def allowance(self) -> Allowance:
        """
        Return what the limits allow in the window.
        """
        return self._allowance(self.limits)

    def quota(self, now_ms: int) -> Quota | None:
        """
        Return the room that an intent's own transaction has to find, or None if any number is allowed.
        """
        granted = self.allowance()
        return None if granted.total is None else Quota(total=granted.total, since_ms=self.since(now_ms))

    def since(self, now_ms: int) -> int:
        """
        Return when the window began that ends now.
        """
        return now_ms - (self.limits.window_ms if self.limits else 0)

    async def used(self, ledger: Ledger, now_ms: int) -> int:
        """
        Return how many intents count in the window that ends now.
        """
        return await ledger.used(since_ms=self.since(now_ms))

    async def shares(self, ledger: Ledger, now_ms: int) -> dict[str, float]:
        """
        Return the used share of each limit that is in force.
        """
        if self.limits is None:
            return {}
        used = await self.used(ledger, now_ms)
        return {limit: used / max(allowed, 1) for limit, allowed in self.allowed().items()}

    def allowed(self) -> dict[str, int]:
        """
        Return how many terminations each limit that is in force allows now.
        """
        if self.limits is None:
            return {}
        each = (replace(self.limits, max_terminations=None), replace(self.limits, max_percent_of_running=None))
        return {one.limit: one.total for one in map(self._allowance, each) if one.total is not None}

    def _allowance(self, limits: Limits | None) -> Allowance:
        # Jobs that a stale inventory still shows as running must not raise the share of the others.
        return allowance(limits, sum(count for name, count in self.view.running.items() if not self._is_stale(name)))

    def _is_stale(self, name: str) -> bool:
        newest, now_ms = self.view.complete.get(name), self.targets[name].source.now_ms()
        return is_stale(newest, walk_every_ms=self.walk_every_ms, now_ms=now_ms)
