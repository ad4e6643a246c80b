"""
What the plan has to know beside the decisions, gathered from the ledger, the gate and the limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.core.decide import Decision
from guard.core.facts import JobKey
from guard.core.limits import Limits
from guard.core.plan import OBSERVED, SPARED, Attempt, Plan, Standing, plan
from guard.daemon.gate import Gate
from guard.daemon.room import Room
from guard.daemon.targets import Target
from guard.daemon.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    The settings of a cycle: the limits, how often targets are walked, and since when the process is armed.
    """

    limits: Limits | None
    walk_every_ms: int
    armed_since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """
    Plans decisions as things stand now.
    """

    targets: Mapping[str, Target]
    view: View
    gate: Gate
    rules: Rules

    @property
    def room(self) -> Room:
        """
        The room that the limits leave.
        """
        rules = self.rules
        return Room(limits=rules.limits, walk_every_ms=rules.walk_every_ms, targets=self.targets, view=self.view)

    async def plan(
        self, decisions: Sequence[Decision], *, driving: Sequence[JobKey]
    ) -> tuple[Plan, Mapping[JobKey, Attempt]]:
        """
        Return the plan, and the earlier attempts on the jobs that match; *driving* are the jobs with an intent on its way.
        """
        view, ledger = self.view, self.gate.ledger
        if not any(one.matches or one.key in view.held for one in decisions):
            return Plan(), {}
        matching = {one.key for one in decisions if one.matches}
        now_ms, room = max(one.at_ms for one in decisions), self.room
        # Those on their way now stay busy for this plan, also if one of them ends while the ledger is read.
        driven = set(driving)
        before = await ledger.before(matching, since_ms=room.since(now_ms))
        closed = room.stale()
        for name in {one.job.target for one in decisions}:
            hold = await self.gate.closed(self.targets[name])
            if hold is not None:
                closed[name] = hold
        standing = Standing(
            closed_targets=closed,
            open_jobs=driven.union(before.busy),
            attempts=before.attempts,
            since_ms={name: max(at, self.rules.armed_since_ms) for name, at in view.since_ms.items()},
            released_ms=view.released_ms,
            allowance=room.allowance(),
            used=before.used,
            credentials={name: one.source.credentials_tag() for name, one in self.targets.items()},
        )
        made = plan(decisions, standing, now_ms=now_ms)
        held = {one.key for one in made.held if one.reason not in (OBSERVED, SPARED)}
        if view.note_holds([one.key for one in decisions], held, now_ms=now_ms):
            made = plan(decisions, standing, now_ms=now_ms)
        return made, before.attempts
