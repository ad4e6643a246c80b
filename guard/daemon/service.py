"""
The daemon: starts everything, keeps it running, and ends it in order.

The scheduler starts the walks; one task per target waits for the next deadline; a tick a second looks at the pause and
the lease, and another one, which may take its time, at the policy folder. A first SIGTERM or SIGINT lets the intents on
their way finish, a second one ends at once; both leave a ledger that the next start can go on with.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from guard.core.policy import PolicySet
from guard.daemon.cycle import Cycle
from guard.daemon.deadlines import LONGEST_SLEEP_S
from guard.daemon.policies import PolicyFolder
from guard.daemon.targets import Target
from guard.daemon.watch import PolicyWatch
from guard.errors import BadInput, LedgerUnusable, TargetError
from guard.ports import Clock, Lease

HEARTBEAT_S = 5.0
TICK_S = 1.0
DRAIN_S = 25.0
RETRY_S = 5.0
FORGET_AFTER_MS = 30 * 86_400_000
_EVENTS = {EVENT_JOB_ERROR: "error", EVENT_JOB_MISSED: "missed", EVENT_JOB_MAX_INSTANCES: "max_instances"}

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Service:
    """
    One running daemon. *clock* is the guard's clock, which the demo speeds up; heartbeats and ticks are real seconds.
    """

    cycle: Cycle
    folder: PolicyFolder
    lease: Lease
    clock: Clock
    interval_s: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    ticked: float = 0.0
    walked: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    watch: PolicyWatch = field(init=False)
    _paused: bool = False
    _shut: bool = False
    _undecided: bool = False

    def __post_init__(self) -> None:
        self.watch = PolicyWatch(folder=self.folder, cycle=self.cycle, clock=self.clock)

    async def run(self, policies: PolicySet) -> None:
        """
        Run until told to stop. The lease must be held.
        """
        metrics, ledger = self.cycle.enforcer.metrics, self.cycle.enforcer.ledger
        metrics.start(self.cycle.targets)
        metrics.seed(await ledger.tallies(), await ledger.finding_counts())
        for target in self.cycle.targets.values():
            metrics.leader.labels(target.name).set(1)
        metrics.armed.set(any(one.terminator is not None for one in self.cycle.targets.values()))
        self.watch.take(policies)
        await self.cycle.resume()
        self.ticked = asyncio.get_running_loop().time()
        scheduler = self._scheduler()
        waiters = [asyncio.create_task(self._wait_for_deadlines(one)) for one in self.cycle.targets.values()]
        waiters += [asyncio.create_task(self._recall(one)) for one in self.cycle.targets.values()]
        tickers = [asyncio.create_task(one) for one in (self._tick_forever(), self._watch_forever())]
        scheduler.start()
        try:
            await self.stop.wait()
        finally:
            log.info("guard.stopping", on_their_way=len(self.cycle.driving))
            scheduler.shutdown(wait=False)
            for task in waiters:
                task.cancel()
            await self._drain()
            for task in tickers:
                task.cancel()
            await asyncio.gather(*waiters, *tickers, return_exceptions=True)

    def ready(self) -> list[str]:
        """
        Return what speaks against this process being of use now.
        """
        found = [f"target {name} was not read yet" for name in self.cycle.targets if name not in self.walked]
        if not self.lease.held():
            found.append("the ledger is not held by this process")
        if self.cycle.broken is not None:
            found.append(f"the ledger failed: {self.cycle.broken}")
        return found + [f"{what} fails: {error}" for what, error in self.failing.items()]

    def notes(self) -> list[str]:
        """
        Return what a person should know although this process is of use: a refused policy folder, a pause, a failed walk.
        """
        found = [f"target {name} could not be read: {why}" for name, why in self.unread.items()]
        found += self.watch.notes()
        if self._paused:
            found.append("paused: nothing is terminated")
        return found

    def alive(self) -> list[str]:
        """
        Return what says that this process hangs.
        """
        silent = asyncio.get_running_loop().time() - self.ticked
        return [f"the last tick was {silent:.0f} s ago"] if silent > 60 else []

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """
        Obey SIGTERM, SIGINT (stop, then end at once) and SIGHUP (reload) while the context lasts.
        """
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self._asked_to_stop, signal.SIGINT: self._asked_to_stop, signal.SIGHUP: self.reload.set}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _asked_to_stop(self) -> None:
        if self.stop.is_set():
            self.ending.set()
        self.stop.set()

    def _scheduler(self) -> AsyncIOScheduler:
        now = self.clock.now()
        real_s = (self.clock.instant(now + self.interval_s) - self.clock.instant(now)).total_seconds()
        scheduler = AsyncIOScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}, timezone="UTC"
        )
        scheduler.add_listener(self._scheduled, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        for target in self.cycle.targets.values():
            trigger = IntervalTrigger(seconds=1) if real_s < 1 else IntervalTrigger(seconds=int(real_s))
            scheduler.add_job(self._walk, trigger, args=[target], id=target.name, next_run_time=self.clock.instant(now))
        return scheduler

    def _scheduled(self, event: JobExecutionEvent) -> None:
        name = _EVENTS[event.code]
        self.cycle.enforcer.metrics.scheduler_events.labels(name).inc()
        error = getattr(event, "exception", None)
        log.error("scheduler.troubled", event_name=name, target=event.job_id, error=str(error) if error else "")

    async def _walk(self, target: Target) -> None:
        await self._attempt(f"walk of {target.name}", self._walk_once(target))

    async def _walk_once(self, target: Target) -> None:
        cycle = self.cycle
        try:
            await cycle.walk(target)
            before_ms = target.source.now_ms() - FORGET_AFTER_MS
            await cycle.enforcer.ledger.forget(target.name, before_ms=before_ms)
            cycle.view.forget(target.name, before_ms=before_ms)
            cycle.settled.clear()
            cycle.broken = None
            if self.lease.held() and not self.stop.is_set():
                # What a failure stopped on its way is taken up again, as after a restart.
                await cycle.resume()
            await self._show_open()
            self.unread.pop(target.name, None)
            self.walked.add(target.name)
        except (TargetError, BadInput) as error:
            self.unread[target.name] = str(error)
        except LedgerUnusable as error:
            cycle.broken = error
            log.error("ledger.failed", error=str(error))

    async def _show_open(self) -> None:
        left = await self.cycle.enforcer.ledger.open_intents()
        self.cycle.enforcer.metrics.open_intents.set(len(left))
        oldest = min((one.created_ms for one in left), default=0)
        self.cycle.enforcer.metrics.oldest_intent.set(oldest / 1000)

    async def _recall(self, target: Target) -> None:
        await self._attempt(f"recall of {target.name}", self.cycle.recall.fill(target, self.cycle.deadlines[target.name]))

    async def _wait_for_deadlines(self, target: Target) -> None:
        queue, what = self.cycle.deadlines[target.name], f"deadlines of {target.name}"
        while True:
            queue.changed.clear()
            await self._attempt(what, self.cycle.decide_due(target))
            if what in self.failing:
                await self.clock.sleep(RETRY_S)
                continue
            next_ms = queue.next_ms()
            left_s = LONGEST_SLEEP_S if next_ms is None else (next_ms - target.source.now_ms()) / 1000
            await self._sleep_or_change(queue.changed, min(max(left_s, 0.0), LONGEST_SLEEP_S))

    async def _attempt(self, what: str, turn: Awaitable[object]) -> None:
        """
        Do one turn of a loop that must not end; its failure is logged, counted and speaks against readiness until it works.
        """
        try:
            await turn
        except Exception as error:
            self.failing[what] = f"{type(error).__name__}: {error}"
            self.cycle.enforcer.metrics.scheduler_events.labels("error").inc()
            log.error("turn.failed", what=what, error=str(error), kind=type(error).__name__)
        else:
            self.failing.pop(what, None)

    async def _sleep_or_change(self, changed: asyncio.Event, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self.clock.sleep(seconds))
        waking = asyncio.ensure_future(changed.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    async def _tick_forever(self) -> None:
        beaten = -HEARTBEAT_S
        while True:
            now = asyncio.get_running_loop().time()
            self.ticked = now
            if now - beaten >= HEARTBEAT_S:
                beaten = now
                await self._attempt("heartbeat", self._beat())
            await self._attempt("pause and lease", self._look_around())
            await asyncio.sleep(TICK_S)

    async def _watch_forever(self) -> None:
        while True:
            at_once = self.reload.is_set()
            self.reload.clear()
            await self._attempt("policies", self._look_at_policies(at_once=at_once))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.reload.wait(), TICK_S)

    async def _beat(self) -> None:
        try:
            if not await self.lease.renew():
                log.error("lease.lost")
                await self.lease.acquire()
        finally:
            for target in self.cycle.targets.values():
                self.cycle.enforcer.metrics.leader.labels(target.name).set(self.lease.held())

    async def _look_at_policies(self, *, at_once: bool) -> None:
        if await self.watch.look(at_once=at_once):
            await self._decide_again(needed=True)

    async def _look_around(self) -> None:
        self.watch.show()
        paused = await self.cycle.enforcer.gate.paused()
        self.cycle.enforcer.metrics.paused.set(paused is not None)
        if (paused is not None) is not self._paused:
            log.warning("guard.paused" if paused else "guard.resumed", reason=paused.text if paused else "")
        self._paused = paused is not None
        shut = self._paused or not self.lease.held()
        released, self._shut = self._shut and not shut, shut
        await self._decide_again(needed=released)
        if self.cycle.changed:
            self.cycle.show()
        await self._show_open()

    async def _decide_again(self, *, needed: bool) -> None:
        """
        Decide on every job again if that is *needed*, or was and could not be done.
        """
        if (needed or self._undecided) and not self.stop.is_set():
            self._undecided = False
            try:
                await self.cycle.decide_all()
            except BaseException:
                self._undecided = True
                raise

    async def _drain(self) -> None:
        """
        Let the intents on their way finish, for a while; what is left stays open in the ledger for the next start.
        """
        tasks = list(self.cycle.driving.values())
        if tasks and not self.ending.is_set():
            ending = asyncio.create_task(self.ending.wait())
            done = asyncio.create_task(asyncio.wait(tasks))
            await asyncio.wait([ending, done], timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            done.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        log.info("guard.stopped", left_open=sum(task.cancelled() for task in tasks))
