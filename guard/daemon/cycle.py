"""
One cycle: observe, decide, plan, enforce, record. Whatever starts it (the schedule, a deadline, a command) runs this.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.decide import Decision
from guard.core.facts import Inventory, JobKey
from guard.core.limits import Limits
from guard.core.plan import Attempt, Finding, Plan, Standing, plan
from guard.core.protocol import Outcome
from guard.core.records import Intent
from guard.daemon.deadlines import Deadlines
from guard.daemon.drafts import draft
from guard.daemon.enforce import Enforcer
from guard.daemon.leftovers import hold_back, within_limits
from guard.daemon.recall import Recall
from guard.daemon.reported import Reported, beaten
from guard.daemon.room import Room
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.errors import BadInput, LedgerUnusable, TargetError

LAST = frozenset({Outcome.CONFIRMED, Outcome.FINISHED_BY_ITSELF, Outcome.GONE})

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

    *driving* are the intents on their way to an outcome in this process, *settled* those that got theirs here. *ended* says
    when the end of a job was recorded, whose older readings count no more. *broken* is set once the ledger failed under an
    intent. *changed* is set while the gauges are behind the decisions.
    """

    targets: Mapping[str, Target]
    view: View
    enforcer: Enforcer
    rules: Rules
    deadlines: Mapping[str, Deadlines]
    driving: dict[JobKey, asyncio.Task[Intent]] = field(default_factory=dict)
    settled: list[Intent] = field(default_factory=list)
    ended: dict[JobKey, int] = field(default_factory=dict)
    broken: LedgerUnusable | None = None
    changed: bool = False
    _recalled: bool = False
    _orphans: set[int] = field(default_factory=set)
    _planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    reported: Reported = field(init=False)
    recall: Recall = field(init=False)

    def __post_init__(self) -> None:
        self.reported = Reported(self.enforcer.ledger, self.enforcer.metrics)
        self.recall = Recall(view=self.view, gate=self.enforcer.gate)

    @property
    def held(self) -> Mapping[JobKey, Sequence[Finding]]:
        """
        What holds a termination back now, by job.
        """
        return self.reported.held

    async def walk(self, target: Target) -> Inventory:
        """
        Read a target and act on what was read. Raises ``TargetError`` if it could not be read at all.
        """
        ledger, metrics = self.enforcer.ledger, self.enforcer.metrics
        await self._recall()
        try:
            inventory = await target.source.walk()
        except (TargetError, BadInput) as error:
            metrics.scans.labels(target.name, "failed").inc()
            log.warning("scan.failed", target=target.name, error=str(error))
            raise
        decisions = self.view.take(inventory, now_ms=target.source.now_ms())
        await self.recall.keep(target, inventory, decisions)
        made = await self.act(decisions)
        metrics.walked(inventory)
        metrics.reached(target.source)
        watched = self.view.of(target.name)
        metrics.disputed.labels(target.name).set(sum(bool(one.dispute) for one in watched))
        metrics.spending(target.name, watched, self.view.terms.prices)
        for limit, share in (await self._room().shares(ledger, target.source.now_ms())).items():
            metrics.limit_used.labels(limit).set(share)
        self.show()
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
        keys = [one.key for one in decisions]
        async with self._planning:
            # While this waited for its turn or for the ledger, newer decisions may have been taken.
            newest = self._newest(keys)
            made, attempts = await self._plan(newest)
            waiting = self.reported.over_limit(keys) if made.orders else []
            if waiting:
                # There is room: who was held back before comes first if the deadline is older.
                for one in self._newest(waiting):
                    self.view.look(one.job, now_ms=self.targets[one.job.target].source.now_ms())
                newest = self._newest([*keys, *waiting])
                made, attempts = await self._plan(newest)
            late = []
            for order in made.orders:
                target = self.targets[order.decision.job.target]
                drafted = draft(order, self.view.terms, attempts, credentials=target.source.credentials_tag())
                quota = self._room().quota(order.decision.at_ms)
                intent = await self.enforcer.ledger.open_intent(drafted, at_ms=order.decision.at_ms, quota=quota)
                if intent is None:
                    late.append(beaten(order))
                    self.view.held.add(order.key)
                else:
                    self._drive(intent, target)
            await self.reported.record(newest, [*made.held, *late, *made.notices])
            self.changed = True
        for key in keys:
            self._expect(key)
        return made

    async def decide_due(self, target: Target) -> int | None:
        """
        Decide again on the target's jobs whose moment has come; return the next moment, in service time.
        """
        queue, now_ms = self.deadlines[target.name], target.source.now_ms()
        due = queue.take_due(now_ms)
        if due:
            try:
                ready = await self.recall.read_due(target, due, queue, room=self._room())
                await self.act(self.view.decide_again(ready, now_ms=target.source.now_ms()))
            except BaseException:
                # Nothing is lost: what could not be acted on stays due.
                for key in due:
                    queue.put(key, now_ms)
                raise
        return queue.next_ms()

    async def decide_all(self) -> None:
        """
        Decide on every watched job again, because the policies, the gate or the prices have changed.
        """
        # All are decided before the first act, so that no act rests on what was in force before.
        again = [
            self.view.decide_again([one.key for one in self.view.of(name)], now_ms=target.source.now_ms())
            for name, target in self.targets.items()
        ]
        for decisions in again:
            await self.act(decisions)
        self.show()

    async def resume(self) -> int:
        """
        Take up the open intents that nothing here drives: those of an earlier process, and those that a failure stopped.

        Return how many there were.
        """
        await self._recall()
        async with self._planning:
            # One that ends while the ledger is read is not left.
            busy = set(self.driving)
            left = [one for one in await self.enforcer.ledger.open_intents() if one.draft.key not in busy]
            for intent in await within_limits(left, self._room(), self.enforcer):
                await self._take_up(intent)
        return len(left)

    def show(self) -> None:
        """
        Bring the gauges of decisions and holds up to date; costs a look at every watched job.
        """
        self.changed = False
        metrics, watched = self.enforcer.metrics, self.view.decisions
        self.reported.keep(watched)
        for key in [key for key in self.ended if key not in watched]:
            del self.ended[key]
        metrics.held_back(self.view.policies, [one for several in self.held.values() for one in several])
        metrics.decided(self.view.policies, list(watched.values()))

    async def _recall(self) -> None:
        """
        Take over what the ledger remembers of jobs, once; without it a second run would look like the first.

        Of all jobs, because a target may have got another name since.
        """
        if not self._recalled:
            self.view.remember(await self.enforcer.ledger.sightings())
            self._recalled = True

    def _newest(self, keys: Sequence[JobKey]) -> list[Decision]:
        """
        Return the newest decisions on jobs, without those that were not read here, or before their end was recorded.
        """
        decisions = [self.view.decisions[key] for key in keys if key in self.view.decisions]
        read = [one for one in decisions if not self.recall.is_unread(one)]
        return [one for one in read if one.job.read_at_ms > self.ended.get(one.key, -1)]

    def _expect(self, key: JobKey) -> None:
        decision = self.view.decisions.get(key)
        if decision is not None:
            self.deadlines[decision.job.target].put(key, self.recall.wake_ms(decision))

    async def _take_up(self, intent: Intent) -> None:
        key, enforcer = intent.draft.key, self.enforcer
        watched = self.view.decisions.get(key)
        # A target may have got another name since; whoever watches the job goes on with it.
        target = self.targets.get(intent.draft.target if watched is None else watched.job.target)
        named = {"intent": intent.number, "job": key.job_id, "target": intent.draft.target}
        if target is not None:
            log.info("termination.resumed", **named, state=intent.state.value)
            self._drive(intent, target)
            return
        if intent.number not in self._orphans:
            self._orphans.add(intent.number)
            log.warning("termination.orphaned", **named, state=intent.state.value)
        if not intent.sent:
            await hold_back(intent, enforcer, note="the target is no longer configured")

    async def _plan(self, decisions: Sequence[Decision]) -> tuple[Plan, Mapping[JobKey, Attempt]]:
        if not any(one.matches or one.key in self.view.held for one in decisions):
            return Plan(), {}
        ledger, gate = self.enforcer.ledger, self.enforcer.gate
        # Open intents before closed ones: one that ends while the ledger is read must be seen in one of the two at least.
        busy = set(self.driving).union([one.draft.key for one in await ledger.open_intents()])
        attempts = await ledger.attempts({one.key for one in decisions if one.matches})
        now_ms, room = max(one.at_ms for one in decisions), self._room()
        closed = room.stale()
        for name in {one.job.target for one in decisions}:
            hold = await gate.closed(self.targets[name])
            if hold is not None:
                closed[name] = hold
        standing = Standing(
            closed_targets=closed,
            open_jobs=busy,
            attempts=attempts,
            since_ms={name: max(at, self.rules.armed_since_ms) for name, at in self.view.since_ms.items()},
            released_ms=self.view.released_ms,
            allowance=room.allowance(),
            used=await room.used(ledger, now_ms),
            credentials={name: one.source.credentials_tag() for name, one in self.targets.items()},
        )
        made = plan(decisions, standing, now_ms=now_ms)
        held = {one.key for one in made.held if one.reason != "observe"}
        if self.view.note_holds([one.key for one in decisions], held, now_ms=now_ms):
            made = plan(decisions, standing, now_ms=now_ms)
        return made, attempts

    def _drive(self, intent: Intent, target: Target) -> None:
        task = asyncio.create_task(self.enforcer.drive(intent, target), name=f"intent-{intent.number}")
        self.driving[intent.draft.key] = task
        task.add_done_callback(lambda done: self._driven(intent.draft.key, done))

    def _driven(self, key: JobKey, task: asyncio.Task[Intent]) -> None:
        if self.driving.get(key) is task:
            del self.driving[key]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            intent = task.result()
            self.settled.append(intent)
            if intent.outcome in LAST:
                self.ended[key] = intent.closed_ms or 0
            self._expect(key)
            return
        if isinstance(error, LedgerUnusable):
            self.broken = error
        log.error("termination.interrupted", job=key.job_id, error=str(error), kind=type(error).__name__)

    def _room(self) -> Room:
        rules = self.rules
        return Room(limits=rules.limits, walk_every_ms=rules.walk_every_ms, targets=self.targets, view=self.view)
