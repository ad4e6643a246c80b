"""
One cycle: observe, decide, plan, enforce, record. Whatever starts it (the schedule, a deadline, a command) runs this.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.decide import Decision
from guard.core.facts import Inventory, Job, JobKey
from guard.core.plan import Attempt, Finding, Plan
from guard.daemon.breakers import Breakers
from guard.daemon.deadlines import Deadlines
from guard.daemon.drafts import drafting
from guard.daemon.drives import Drives
from guard.daemon.enforce import Enforcer
from guard.daemon.joint import Joint
from guard.daemon.leftovers import Leftovers
from guard.daemon.opening import opened
from guard.daemon.planning import Planner, Rules
from guard.daemon.precedence import LONGEST_PAGE_S
from guard.daemon.reading import Reading
from guard.daemon.recall import Recall
from guard.daemon.remembering import BATCH, Remembering
from guard.daemon.reported import Reported, beaten
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.errors import BadInput, LedgerUnusable, TargetError

CHUNK = 500

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Cycle:
    """
    Runs cycles over the targets.

    *drives* are the intents on their way to an outcome. *changed* is set while the gauges are behind the decisions. Only
    targets that are *active* are acted on.
    """

    targets: Mapping[str, Target]
    view: View
    enforcer: Enforcer
    rules: Rules
    deadlines: Mapping[str, Deadlines]
    changed: bool = False
    active: set[str] = field(default_factory=set)
    _walks: int = 0
    _planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    drives: Drives = field(init=False)
    reported: Reported = field(init=False)
    remembering: Remembering = field(init=False)
    recall: Recall = field(init=False)
    breakers: Breakers = field(init=False)
    acts: Joint[tuple[Plan, Mapping[JobKey, LedgerUnusable]]] = field(init=False)
    resumes: Joint[int] = field(init=False)
    _leftovers: Leftovers = field(init=False)

    def __post_init__(self) -> None:
        self.active.update(self.targets)
        self.drives = Drives(enforcer=self.enforcer, active=self.active, closed=self._expect)
        self.acts = Joint(acted=self._act, turn=lambda: self._planning)
        self.resumes = Joint(acted=self._resume, turn=lambda: self._planning)
        self._leftovers = Leftovers(view=self.view, enforcer=self.enforcer)
        gate, metrics, ledger = self.enforcer.gate, self.enforcer.metrics, self.enforcer.ledger
        self.breakers = Breakers(view=self.view, gate=gate, metrics=metrics, targets=self.targets, active=self.active)
        self.reported, self.remembering = Reported(self.enforcer), Remembering(ledger, self.view, gate.lease)
        self.recall = Recall(view=self.view, gate=gate, remembering=self.remembering)

    @property
    def held(self) -> Mapping[JobKey, Sequence[Finding]]:
        """
        What holds a termination back now, by job.
        """
        return self.reported.held

    @property
    def planner(self) -> Planner:
        """
        What plans by the rules that are in force now.
        """
        return Planner(targets=self.targets, breakers=self.breakers, rules=self.rules)

    async def walk(self, target: Target) -> Inventory:
        """
        Read a target and act on what was read. Raises ``TargetError`` if it could not be read at all.
        """
        metrics, walk = self.enforcer.metrics, self._walks + 1
        self._walks = walk
        reading = Reading(
            source=target.source, taken=lambda jobs: self.take(target, jobs, walk=walk), acted=self._act_on_record
        )
        try:
            inventory = await target.source.walk(reading.take, progress=metrics.fleet.reading(target.name))
        except (TargetError, BadInput) as error:
            metrics.scans.labels(target.name, "failed").inc()
            log.warning("scan.failed", target=target.name, error=str(error))
            # What was read before it failed is acted on all the same: each act rests on a reading of its own.
            await reading.act()
            raise
        await self.recall.close(target, inventory, self.deadlines[target.name], walk=walk)
        # What waited for a complete inventory is planned with the rest.
        await reading.act(self.view.unsettled(target.name, busy=self.drives.under_way) if inventory.complete else ())
        await self.planner.walked(target, inventory)
        self.changed = True
        log.info("scan.finished", **reading.told(inventory))
        return inventory

    async def look(self, target: Target, *, waiting: bool) -> int:
        """
        Look for new jobs of a target, and if asked at those that wait; plan again what is held back. Return the list calls.

        Raises ``TargetError`` if nothing could be read. It proves nothing about jobs that it does not show.
        """
        reading = Reading(source=target.source, taken=lambda jobs: self.take(target, jobs), acted=self._act_on_record)
        before = len(self.view.watched)
        calls = await target.source.look(reading.take, lambda key: key in self.view.watched)
        if waiting and self.view.tally(target.name).waiting:
            calls += await target.source.look_waiting(reading.take)
        await reading.act()
        await self.take_up(target)
        self.enforcer.metrics.reached(target.source)
        self.enforcer.metrics.fleet.looked(target.name, at_ms=target.source.now_ms())
        self.changed = True
        if (found := len(self.view.watched) - before) or reading.ordered:
            log.info("look.finished", target=target.name, new=found, ordered=reading.ordered, calls=calls)
        return calls

    async def take_up(self, target: Target) -> None:
        """
        Plan again what is held back of a target, and what a policy terminates and nothing drives. Raises ``LedgerUnusable``.
        """
        again = self.view.unsettled(target.name, busy=self.drives.under_way)
        await self.act(await self._decide_again(target, again))

    async def take(self, target: Target, jobs: Sequence[Job], *, walk: int = 0) -> list[JobKey]:
        """
        Take in what was read of a target's jobs; return those that may have to be acted on.
        """
        await self.enforcer.precedence.give_way(LONGEST_PAGE_S)
        live = [one for one in jobs if not self.drives.is_of_ended_run(one)]
        for one in await self.remembering.recollect(live):
            # Of a target that was never walked, every job is new.
            if target.name in self.view.complete and isinstance(one.create_time_ms, int):
                self.enforcer.metrics.fleet.found(target.name, lag_ms=one.read_at_ms - one.create_time_ms)
        matter = self.view.take(live, now_ms=(now_ms := target.source.now_ms()), walk=walk)
        for one in live:
            # A walk acts on what it read when it ends, or after seconds; whose moment was awaited does not wait so long.
            if not self.recall.keep_due(one.key, self.deadlines[target.name], busy=self.drives.under_way, now_ms=now_ms):
                self._expect(one.key)
        if len(self.view.news) >= BATCH:
            await self.remembering.write()
        return matter

    async def _act_on_record(self, keys: Sequence[JobKey]) -> Plan:
        # An intent names the run of its job, which the ledger must know after a crash.
        await self.remembering.write()
        return await self.act(keys)

    async def act(self, keys: Sequence[JobKey]) -> Plan:
        """
        Plan and start what the decisions on these jobs ask for; the kill protocol goes on by itself afterwards.

        Whoever asks while a plan is made shares the next one. Raises ``LedgerUnusable``, and of an intent that could not be
        recorded only for those who asked for it.
        """
        made, failed = await self.acts(keys)
        for key in keys:
            self._expect(key)
        for key in keys if failed else ():
            if key in failed:
                raise failed[key]
        return made.of(keys)

    async def _act(self, keys: Sequence[JobKey]) -> tuple[Plan, Mapping[JobKey, LedgerUnusable]]:
        # While this waited for its turn or for the ledger, newer decisions may have been taken.
        newest = self._newest(keys)
        made, attempts = await self.planner.plan(newest, driving=self.drives.under_way)
        waiting = self.reported.over_limit(keys) if made.orders else []
        if waiting:
            # There is room: who was held back before comes first if the deadline is older.
            for one in self._newest(waiting):
                self.view.decide_again([one.key], now_ms=self.targets[one.job.target].source.now_ms())
            newest = self._newest([*keys, *waiting])
            made, attempts = await self.planner.plan(newest, driving=self.drives.under_way)
        late, failed = await self._open(made, attempts)
        unrecorded = await self.reported.record(newest, [*made.held, *late, *made.notices])
        self.changed = True
        return made, {**unrecorded, **failed}

    async def _open(
        self, made: Plan, attempts: Mapping[JobKey, Attempt]
    ) -> tuple[list[Finding], Mapping[JobKey, LedgerUnusable]]:
        """
        Record the intents that a plan orders, and drive each from when it is on record; return what had no room, and why
        some could not be recorded.
        """
        late, failed, drafted = [], {}, drafting(self.view.terms, attempts, targets=self.targets)
        async for order, intent in opened(made.orders, self.enforcer.ledger, drafted, self.planner.room.quota):
            if isinstance(intent, LedgerUnusable):
                failed[order.key] = intent
            elif intent is None:
                late.append(beaten(order))
                self.view.held.add(order.key)
            else:
                self.drives.begin(intent, self.targets[order.decision.job.target])
        return late, failed

    async def decide_due(self, target: Target) -> int | None:
        """
        Decide again on the target's jobs whose moment has come; return the next moment, in service time.
        """
        queue, now_ms = self.deadlines[target.name], target.source.now_ms()
        if due := queue.take_due(now_ms):
            urgent = [key for key in due if key not in self.drives.under_way]
            self.enforcer.precedence.begin(urgent)
            try:
                ready = await self.recall.read_due(target, due, queue, room=self.planner.room)
                await self.act(await self._decide_again(target, ready))
            except BaseException:
                # Nothing is lost: what could not be acted on stays due.
                for key in due:
                    queue.put(key, now_ms)
                raise
            finally:
                self.enforcer.precedence.end([key for key in urgent if key not in self.drives.under_way])
        return queue.next_ms()

    async def decide_all(self) -> None:
        """
        Decide on every watched job again, because the policies, the gate or the prices have changed.
        """
        # All are decided before the first act, so that no act rests on what was in force before.
        matter = [await self._decide_again(self.targets[one], self.view.keys_of(one)) for one in sorted(self.active)]
        await self.act([key for some in matter for key in some])
        self.show()

    async def _decide_again(self, target: Target, keys: Sequence[JobKey]) -> list[JobKey]:
        """
        Decide again on a few jobs at a time, so that nothing waits for many that are due at once; return those that matter.
        """
        matter = []
        for at in range(0, len(keys), CHUNK):
            matter += self.view.decide_again(keys[at : at + CHUNK], now_ms=target.source.now_ms())
            for key in keys[at : at + CHUNK]:
                self._expect(key)
            await asyncio.sleep(0)
        return matter

    async def resume(self) -> int:
        """
        Take up the open intents that nothing here drives, of targets that no other replica acts on; return how many.

        Whoever asks while they are looked for shares the next look.
        """
        return await self.resumes()

    async def _resume(self, _: Sequence[JobKey]) -> int:
        # One that ends while the ledger is read is not left; those of a target that is about to begin are taken up then.
        left = await self._leftovers.find(busy=set(self.drives.under_way), but=self.targets.keys() - self.active)
        async for intent, target in self._leftovers.owned(left, self.targets, self.planner.room):
            self.drives.begin(intent, target)
        return len(left)

    def show(self) -> None:
        """
        Bring the gauges of jobs, decisions and holds up to date.
        """
        self.changed = False
        metrics, view = self.enforcer.metrics, self.view
        self.reported.keep(view.watched)
        self.drives.forget(view.watched)
        metrics.held_back(view.policies, [one for several in self.held.values() for one in several])
        metrics.decided(view.policies, view.verdicts(), list(view.decisions.values()))
        for one in (self.targets[name] for name in sorted(self.active)):
            metrics.fleet.show(one.name, view.tally(one.name), view.terms.prices, now_ms=one.source.now_ms())
        metrics.fleet.spend.show_sums("" if view.terms.prices is None else view.terms.prices.currency)

    def _newest(self, keys: Sequence[JobKey]) -> list[Decision]:
        """
        Return the newest decisions on jobs of active targets that were read here, and not before their end was recorded.
        """
        decisions = [decision for key in keys if (decision := self.view.newest(key)) is not None]
        read = [one for one in decisions if one.job.target in self.active and not self.recall.is_unread(one)]
        return [one for one in read if not self.drives.is_of_ended_run(one.job)]

    def _expect(self, key: JobKey) -> None:
        if (one := self.view.watched.get(key)) is not None:
            self.deadlines[one.job.target].put(key, self.recall.wake_ms(key))
