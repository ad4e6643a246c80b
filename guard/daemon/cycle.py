"""
One cycle: observe, decide, plan, enforce, record. Whatever starts it (the schedule, a deadline, a command) runs this.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.decide import Decision
from guard.core.facts import Inventory, JobKey
from guard.core.limits import Allowance, Limits, allowance, is_stale, running_jobs
from guard.core.plan import Finding, Hold, Order, Plan, Standing, finding, plan
from guard.core.protocol import Outcome
from guard.core.records import Closing, Intent, Quota
from guard.daemon.deadlines import Deadlines
from guard.daemon.drafts import draft
from guard.daemon.enforce import Enforcer
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.errors import LedgerUnusable, TargetError

log = structlog.get_logger("guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    The settings of a cycle: the limits, how often targets are walked, and since when the process is armed.
    """

    limits: Limits | None
    walk_every_ms: int
    armed_since_ms: int = 0


@dataclass(slots=True, kw_only=True)
class Cycle:
    """
    Runs cycles over the targets.

    *driving* are the intents on their way to an outcome in this process, *settled* those that got theirs here. *broken* is
    set once the ledger failed under an intent.
    """

    targets: Mapping[str, Target]
    view: View
    enforcer: Enforcer
    rules: Rules
    deadlines: Mapping[str, Deadlines]
    driving: dict[JobKey, asyncio.Task[Intent]] = field(default_factory=dict)
    settled: list[Intent] = field(default_factory=list)
    held: dict[JobKey, tuple[Finding, ...]] = field(default_factory=dict)
    broken: LedgerUnusable | None = None
    _planning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def walk(self, target: Target) -> Inventory:
        """
        Read a target and act on what was read. Raises ``TargetError`` if it could not be read at all.
        """
        ledger, metrics = self.enforcer.ledger, self.enforcer.metrics
        if target.name not in self.view.complete:
            self.view.remember(await ledger.sightings(target.name))
        try:
            inventory = await target.source.walk()
        except TargetError as error:
            metrics.scans.labels(target.name, "failed").inc()
            log.warning("scan.failed", target=target.name, error=str(error))
            raise
        decisions = self.view.take(inventory, now_ms=target.source.now_ms())
        await ledger.remember([one.seen for one in decisions])
        made = await self.act(decisions)
        metrics.walked(inventory)
        metrics.offset.labels(target.name).set(target.source.offset_s() or 0.0)
        watched = self.view.of(target.name)
        metrics.disputed.labels(target.name).set(sum(bool(one.dispute) for one in watched))
        metrics.spending(target.name, watched, self.view.terms.prices)
        log.info(
            "scan.finished",
            target=target.name,
            complete=inventory.complete,
            doubt=inventory.doubt,
            jobs=len(inventory.jobs),
            unreadable=inventory.unreadable,
            matches=sum(bool(one.matches) for one in decisions),
            ordered=len(made.orders),
            held=len(made.held),
            took_ms=inventory.finished_at_ms - inventory.started_at_ms,
        )
        return inventory

    async def act(self, decisions: Sequence[Decision]) -> Plan:
        """
        Plan and start what the decisions ask for; the kill protocol goes on by itself afterwards.
        """
        async with self._planning:
            made = await self._plan(decisions)
            attempts = await self.enforcer.ledger.attempts() if made.orders else {}
            late = []
            for order in made.orders:
                target = self.targets[order.decision.job.target]
                drafted = draft(order, self.view.terms, attempts, credentials=target.source.credentials_tag())
                quota = self._quota(order.decision.at_ms)
                intent = await self.enforcer.ledger.open_intent(drafted, at_ms=order.decision.at_ms, quota=quota)
                if intent is None:
                    late.append(_beaten(order))
                else:
                    self._drive(intent, target)
            await self._record(decisions, [*made.held, *late, *made.notices])
        for decision in decisions:
            self.deadlines[decision.job.target].put(decision.key, decision.wake_ms)
        return made

    async def decide_due(self, target: Target) -> int | None:
        """
        Decide again on the target's jobs whose moment has come; return the next moment, in service time.
        """
        queue, now_ms = self.deadlines[target.name], target.source.now_ms()
        due = queue.take_due(now_ms)
        if due:
            await self.act(self.view.decide_again(due, now_ms=now_ms))
        return queue.next_ms()

    async def decide_all(self) -> None:
        """
        Decide on every watched job again, because the policies, the gate or the prices have changed.
        """
        for target in self.targets.values():
            keys = [one.key for one in self.view.of(target.name)]
            await self.act(self.view.decide_again(keys, now_ms=target.source.now_ms()))

    async def resume(self) -> int:
        """
        Take up the intents that an earlier process left open; return how many.
        """
        left = [one for one in await self.enforcer.ledger.open_intents() if one.draft.key not in self.driving]
        for intent in left:
            target = self.targets.get(intent.draft.target)
            named = {"intent": intent.number, "job": intent.draft.key.job_id, "target": intent.draft.target}
            if target is not None:
                log.info("termination.resumed", **named, state=intent.state.value)
                self._drive(intent, target)
                continue
            log.warning("termination.orphaned", **named, state=intent.state.value)
            if not intent.sent:
                closing = Closing(outcome=Outcome.HELD_BACK, note="the target is no longer configured")
                self.enforcer.metrics.closed(
                    await self.enforcer.ledger.close(intent.number, closing, at_ms=intent.created_ms)
                )
        return len(left)

    async def _plan(self, decisions: Sequence[Decision]) -> Plan:
        if not any(one.matches or one.key in self.view.held for one in decisions):
            return Plan()
        ledger, gate = self.enforcer.ledger, self.enforcer.gate
        now_ms = max(one.at_ms for one in decisions)
        closed = self._stale()
        for name, target in self.targets.items():
            hold = await gate.closed(target)
            if hold is not None:
                closed[name] = hold
        granted, window_ms = self._allowance(), self.rules.limits.window_ms if self.rules.limits else 0
        standing = Standing(
            closed_targets=closed,
            open_jobs={one.draft.key for one in await ledger.open_intents()} | set(self.driving),
            attempts=await ledger.attempts(),
            since_ms={name: max(at, self.rules.armed_since_ms) for name, at in self.view.since_ms.items()},
            released_ms=self.view.released_ms,
            allowance=granted,
            used=await ledger.used(since_ms=now_ms - window_ms),
            credentials={name: one.source.credentials_tag() for name, one in self.targets.items()},
        )
        made = plan(decisions, standing, now_ms=now_ms)
        held = {one.key for one in made.held if one.reason != "observe"}
        if self.view.note_holds([one.key for one in decisions], held, now_ms=now_ms):
            made = plan(decisions, standing, now_ms=now_ms)
        if granted.total:
            self.enforcer.metrics.limit_used.labels(granted.limit).set(standing.used / granted.total)
        return made

    async def _record(self, decisions: Sequence[Decision], findings: Sequence[Finding]) -> None:
        metrics = self.enforcer.metrics
        at_ms = max((one.at_ms for one in decisions), default=0)
        for one in await self.enforcer.ledger.record(findings, at_ms=at_ms) if findings else ():
            if one.reason != "notify":
                metrics.potential.labels(one.policy, one.reason).inc()
            event = {"notify": "policy.notified", "observe": "policy.observed"}.get(one.reason, "termination.held_back")
            log.info(event, job=one.key.job_id, target=one.target, policy=one.policy, why=one.reason, reason=one.text)
        for decision in decisions:
            self.held.pop(decision.key, None)
        for one in findings:
            if one.reason not in ("observe", "notify"):
                self.held[one.key] = (*self.held.get(one.key, ()), one)
        metrics.held_back(self.view.policies, [one for several in self.held.values() for one in several])
        metrics.decided(self.view.policies, list(self.view.decisions.values()))

    def _drive(self, intent: Intent, target: Target) -> None:
        task = asyncio.create_task(self.enforcer.drive(intent, target), name=f"intent-{intent.number}")
        self.driving[intent.draft.key] = task
        task.add_done_callback(lambda done: self._driven(intent.draft.key, done))

    def _driven(self, key: JobKey, task: asyncio.Task[Intent]) -> None:
        self.driving.pop(key, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.settled.append(task.result())
            return
        if isinstance(error, LedgerUnusable):
            self.broken = error
        log.error("termination.interrupted", job=key.job_id, error=str(error), kind=type(error).__name__)

    def _stale(self) -> dict[str, Hold]:
        limits = self.rules.limits
        if limits is None or limits.max_percent_of_running is None:
            return {}
        hold = Hold(reason="stale_inventory", text="no complete walk of this target ended within the last three")
        found = {}
        for name, target in self.targets.items():
            newest, now_ms = self.view.complete.get(name), target.source.now_ms()
            if is_stale(newest, walk_every_ms=self.rules.walk_every_ms, now_ms=now_ms):
                found[name] = hold
        return found

    def _allowance(self) -> Allowance:
        return allowance(self.rules.limits, running_jobs(list(self.view.complete.values())))

    def _quota(self, now_ms: int) -> Quota | None:
        granted, limits = self._allowance(), self.rules.limits
        if granted.total is None or limits is None:
            return None
        return Quota(total=granted.total, since_ms=now_ms - limits.window_ms)


def _beaten(order: Order) -> Finding:
    text = "another act came first: the limit is used up, or the job has an open intent"
    return finding(order.decision, order.judgement, "limit", text)
