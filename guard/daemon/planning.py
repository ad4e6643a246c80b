"""
What the plan has to know beside the decisions, gathered from the ledger, the gate, the limits and the breaker.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from guard.core.breaker import BreakerRules, Scope
from guard.core.decide import Decision
from guard.core.facts import Inventory, JobKey
from guard.core.hold import Hold
from guard.core.limits import Limits
from guard.core.plan import OBSERVED, SPARED, Attempt, Before, Plan, Standing, plan
from guard.daemon.breakers import Breakers
from guard.daemon.gate import Gate
from guard.daemon.room import Room
from guard.daemon.targets import Target
from guard.daemon.view import View

NEW_LEDGER = Hold(
    reason="new_ledger",
    text="the ledger holds no complete walk of this target yet (it is new, or was lost); goes on by itself after one",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    The settings of a cycle: the limits, how often targets are walked, since when the process is armed, and the breaker's
    numbers (None: without a breaker).
    """

    limits: Limits | None
    walk_every_ms: int
    armed_since_ms: int = 0
    breaker: BreakerRules | None = None

    @property
    def dear(self) -> bool:
        """
        Whether money is limited.
        """
        return self.limits is not None and self.limits.max_cost_rate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """
    Plans decisions as things stand now.
    """

    targets: Mapping[str, Target]
    breakers: Breakers
    rules: Rules

    @property
    def view(self) -> View:
        """
        What is known of the jobs.
        """
        return self.breakers.view

    @property
    def gate(self) -> Gate:
        """
        What has to be open.
        """
        return self.breakers.gate

    @property
    def room(self) -> Room:
        """
        The room that the limits leave.
        """
        rules = self.rules
        first = rules.breaker.first_enforce if rules.breaker is not None else None
        return Room(
            limits=rules.limits,
            walk_every_ms=rules.walk_every_ms,
            targets=self.targets,
            view=self.view,
            first_enforce=first,
        )

    async def plan(
        self, decisions: Sequence[Decision], *, driving: Container[JobKey]
    ) -> tuple[Plan, Mapping[JobKey, Attempt]]:
        """
        Return the plan, and the earlier attempts on the jobs that match; *driving* are the jobs with an intent on its way.
        """
        view, ledger = self.view, self.gate.ledger
        if not any(one.matches or one.key in view.held for one in decisions):
            return Plan(), {}
        matching = {one.key for one in decisions if one.matches}
        room = self.room
        # Those on their way now stay busy for this plan, also if one of them ends while the ledger is read.
        driven = {one.key for one in decisions if one.key in driving}
        names = {one.job.target for one in decisions}
        # The services of several targets may have several clocks: by the one that is behind the window is the longest.
        since_ms = None if room.allowance().is_boundless else room.since(min(one.at_ms for one in decisions))
        before = await ledger.before(matching, since_ms=since_ms, rules=self._new_rules(decisions))
        standing = await self._shut(
            Standing(
                open_jobs=driven.union(before.busy),
                attempts=before.attempts,
                since_ms={name: max(at, self.rules.armed_since_ms) for name, at in view.since_ms.items()},
                released_ms=view.released_ms,
                allowance=room.allowance(),
                window=before.window,
                acted=before.acted,
                first_enforce=room.first_enforce,
                currency=room.currency,
                credentials={name: one.source.credentials_tag() for name, one in self.targets.items()},
            ),
            names,
            before,
        )
        made = plan(decisions, standing)
        if await self.breakers.trip(made.orders, self.rules.breaker, dear=self.rules.dear):
            standing = await self._shut(standing, names, before)
            made = plan(decisions, standing)
        held = {one.key for one in made.held if one.reason not in (OBSERVED, SPARED)}
        if view.note_holds({one.key: one.at_ms for one in decisions}, held):
            made = plan(decisions, standing)
        return made, before.attempts

    async def walked(self, target: Target, inventory: Inventory) -> None:
        """
        Take in the end of a walk: show it and how much of the limits is used, and let the breaker learn if it was complete.
        """
        self.breakers.metrics.walked(inventory)
        self.breakers.metrics.reached(target.source)
        shares = await self.room.shares(self.gate.ledger, target.source.now_ms())
        for limit, share in shares.items():
            self.breakers.metrics.limit_used.labels(limit).set(share)
        if inventory.complete:
            await self.breakers.learn(self.rules.breaker, dear=self.rules.dear)

    def _new_rules(self, decisions: Iterable[Decision]) -> set[tuple[str, str]]:
        """
        Return the policies by which these decisions may lead to an act, if it matters how often they did.
        """
        if self.room.first_enforce is None:
            return set()
        own = {one.terminating.policy for one in decisions if one.terminating is not None}
        return {(policy.name, policy.digest) for policy in own}

    async def _shut(self, standing: Standing, names: Iterable[str], before: Before) -> Standing:
        """
        Return the standing with what closes the gate for targets and for policies now.
        """
        targets, policies = self.room.stale(), {}
        asked = [self.targets[name] for name in names]
        # All at once, so that they share what is read.
        holds = (
            [await self.gate.closed(asked[0])] if len(asked) == 1 else await asyncio.gather(*map(self.gate.closed, asked))
        )
        for target, hold in zip(asked, holds, strict=True):
            if self.rules.breaker is not None and before.walked.get(target.name) != target.source.scope():
                targets[target.name] = NEW_LEDGER
            if hold is not None:
                targets[target.name] = hold
        for one in await self.gate.open_breakers():
            if one.scope is Scope.POLICY:
                policies[one.name] = one.hold
        return replace(standing, closed_targets=targets, closed_policies=policies)
