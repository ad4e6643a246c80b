"""
How much room the limits leave now: what they allow, what is used, and whether the inventories are fresh enough to say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from guard.core.hold import Hold
from guard.core.limits import Allowance, Fleet, Limits, allowance, is_stale
from guard.core.records import Quota
from guard.core.windows import Window
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.ports import Ledger

STALE = Hold(reason="stale_inventory", text="no complete walk of this target ended within the last three")
LIMITS = (
    "max_terminations",
    "max_percent_of_running",
    "max_per_policy",
    "max_per_user",
    "max_per_target",
    "max_percent_of_cards",
    "max_cost_rate",
    "first_enforce",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """
    The limits over the targets that are watched; *limits* is None if they were removed. *first_enforce* is how many jobs a
    policy acts on before a person confirms it, None for any number.
    """

    limits: Limits | None
    walk_every_ms: int
    targets: Mapping[str, Target]
    view: View
    first_enforce: int | None = None

    def stale(self) -> dict[str, Hold]:
        """
        Return what holds a target back because a percentage of its newest complete inventory means nothing any more.
        """
        if self.limits is None or not self.limits.needs_inventory:
            return {}
        return {name: STALE for name in self.targets if self._is_stale(name)}

    @property
    def currency(self) -> str:
        """
        The currency of money now, "" without a price book.
        """
        return self.view.terms.prices.currency if self.view.terms.prices is not None else ""

    def allowance(self) -> Allowance:
        """
        Return what the limits allow in the window.
        """
        return self._allowance(self.limits)

    def fixed(self) -> Allowance:
        """
        Return what those limits allow that are no share of what runs.
        """
        if self.limits is None:
            return Allowance(total=None)
        return self._allowance(replace(self.limits, max_percent_of_running=None, max_percent_of_cards=None))

    def quota(self, now_ms: int) -> Quota | None:
        """
        Return the room that an intent's own transaction has to find, or None if any number is allowed.
        """
        granted = self.allowance()
        if granted.is_boundless and self.first_enforce is None:
            return None
        since_ms, first = self.since(now_ms), self.first_enforce
        return Quota(total=granted.total, since_ms=since_ms, bounds=granted.bounds, first_enforce=first)

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
        Return the used share of each limit that is in force; of one per policy, user or target that which is used most.
        """
        shares = {}
        if self.first_enforce is not None:
            rules = [(one.name, one.digest) for one in self.view.policies.policies if one.terminates]
            most = max(map(len, (await ledger.breaker.acted(rules)).values()), default=0)
            shares["first_enforce"] = most / max(self.first_enforce, 1)
        if self.limits is None:
            return shares
        window = await ledger.breaker.window(since_ms=self.since(now_ms))
        shares |= {limit: window.total / max(allowed, 1) for limit, allowed in self.allowed().items()}
        return shares | self._bounded(window)

    def allowed(self) -> dict[str, int]:
        """
        Return how many terminations each limit on all of them that is in force allows now.
        """
        if self.limits is None:
            return {}
        each = (replace(self.limits, max_terminations=None), replace(self.limits, max_percent_of_running=None))
        return {one.limit: one.total for one in map(self._allowance, each) if one.total is not None}

    def _bounded(self, window: Window) -> dict[str, float]:
        bounds, shares = self.allowance().bounds, {}
        for name, counts, allowed in (
            ("max_per_policy", window.policies.values(), bounds.per_policy),
            ("max_per_user", window.users.values(), bounds.per_user),
            ("max_per_target", window.projects.values(), bounds.per_target),
            ("max_percent_of_cards", [window.cards_held(bounds)], bounds.cards),
        ):
            if allowed is not None:
                shares[name] = max(counts, default=0) / max(allowed, 1)
        if bounds.cost_rate is not None:
            held = window.rate_held(bounds)
            # One whose rate is not known leaves no room.
            shares["max_cost_rate"] = 1.0 if held is None or not bounds.cost_rate else float(held / bounds.cost_rate)
        return shares

    def _allowance(self, limits: Limits | None) -> Allowance:
        # Jobs that a stale inventory still shows as running must not raise the share of the others.
        fresh = [fleet for name, fleet in self.view.running.items() if not self._is_stale(name)]
        cards, largest = sum(one.cards for one in fresh), max((one.largest for one in fresh), default=0)
        fleet = Fleet(running=sum(one.running for one in fresh), cards=cards, largest=largest)
        return allowance(limits, fleet, currency=self.currency)

    def _is_stale(self, name: str) -> bool:
        newest, now_ms = self.view.complete.get(name), self.targets[name].source.now_ms()
        return is_stale(newest, walk_every_ms=self.walk_every_ms, now_ms=now_ms)
