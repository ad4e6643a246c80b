"""
The daemon: starts everything, keeps it running, and ends it in order.

The schedule begins the walks, the looks and the deadlines of each target; a tick a second looks at the pause and the lease,
and another one, which may take its time, at the files of policies and prices. A first SIGTERM or SIGINT lets the intents on
their way finish, a second one ends at once; both leave a ledger that the next start can go on with.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field

import structlog

from guard.core.policy import PolicySet
from guard.daemon.cycle import Cycle
from guard.daemon.draining import drained, obeyed
from guard.daemon.endings import Endings
from guard.daemon.estimating import TURNS, Estimating
from guard.daemon.health import LONGEST_LOOK_S, LOOKS_PER_WAIT, Health
from guard.daemon.policies import PolicyFolder
from guard.daemon.schedule import Intervals, Schedule
from guard.daemon.standby import Standby
from guard.daemon.targets import Target
from guard.daemon.watch import PolicyWatch, PriceFile
from guard.errors import BadInput, LedgerUnusable, TargetError
from guard.ports import Clock, Lease

HEARTBEAT_S = 5.0
TICK_S = 1.0
DRAIN_S = 25.0
RETRY_S = 5.0

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Service:
    """
    One running daemon. *clock* is the guard's, which the demo speeds up; heartbeats and ticks are real seconds.
    """

    cycle: Cycle
    folder: PolicyFolder
    prices: PriceFile | None = None
    lease: Lease
    clock: Clock
    intervals: Intervals
    endings: Endings
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    ticked: float = 0.0
    health: dict[str, Health] = field(init=False)
    failing: dict[str, str] = field(default_factory=dict)
    watch: PolicyWatch = field(init=False)
    schedule: Schedule = field(init=False)
    standby: Standby = field(init=False)
    _undecided: bool = False

    def __post_init__(self) -> None:
        self.watch = PolicyWatch(folder=self.folder, prices=self.prices, cycle=self.cycle, clock=self.clock)
        self.standby = Standby(cycle=self.cycle)
        self.health = {name: Health() for name in self.cycle.targets}
        self.schedule = Schedule(clock=self.clock, metrics=self.cycle.enforcer.metrics)

    async def run(self, policies: PolicySet) -> None:
        """
        Run until told to stop. The lease must be held.
        """
        metrics, ledger = self.cycle.enforcer.metrics, self.cycle.enforcer.ledger
        metrics.start(self.cycle.targets)
        metrics.seed(await ledger.tallies(), await ledger.finding_counts(), *await ledger.savings.counted())
        metrics.armed.set(any(one.terminator is not None for one in self.cycle.targets.values()))
        self.watch.take(policies)
        await self.cycle.resume()
        self.ticked = asyncio.get_running_loop().time()
        waiters = [asyncio.create_task(Estimating(endings=self.endings).follow(self._attempt))]
        for target in self.cycle.targets.values():
            metrics.leader.labels(target.name).set(1)
            turns = self._wait_for_deadlines(target), self._recall(target), self.endings.follow(target, self._attempt)
            waiters += [asyncio.create_task(one) for one in turns]
            self.schedule.every("walk", target, self._walk, seconds=self.intervals.walk_s, at_once=True)
            self.schedule.every("look", target, self._look, seconds=self.intervals.scan_s, at_once=False)
        tickers = [asyncio.create_task(self._tick_forever()), asyncio.create_task(self._watch_forever())]
        self.schedule.start()
        try:
            await self.stop.wait()
        finally:
            log.info("guard.stopping", on_their_way=len(self.cycle.driving))
            self.schedule.stop()
            for task in waiters:
                task.cancel()
            await drained(list(self.cycle.driving.values()), ending=self.ending, within_s=DRAIN_S)
            for task in tickers:
                task.cancel()
            await asyncio.gather(*waiters, *tickers, return_exceptions=True)

    def ready(self) -> list[str]:
        """
        Return what speaks against this process being of use now.
        """
        found = [f"target {name} was not read yet" for name, one in self.health.items() if not one.read]
        if not self.lease.held():
            found.append("the ledger is not held by this process")
        if self.cycle.broken is not None:
            found.append(f"the ledger failed: {self.cycle.broken}")
        return found + [f"{what} fails: {error}" for what, error in self.failing.items() if what not in TURNS]

    def notes(self) -> list[str]:
        """
        Return what a person should know although this process is of use: refused policies, a pause, failed walks, savings.
        """
        found, view = [], self.cycle.view
        for name, target in self.cycle.targets.items():
            watched, queued = sum(view.tally(name).users.values()), len(self.cycle.deadlines[name])
            told = self.health[name].told(watched=watched, queued=queued, now_ms=target.source.now_ms())
            found.append(f"target {name}: {told}")
        found += [*self.watch.notes(), *(f"{one} fails: {self.failing[one]}" for one in TURNS if one in self.failing)]
        return found + self.standby.notes()

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
        stop = self._asked_to_stop
        with obeyed({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: self.reload.set}):
            yield

    def _asked_to_stop(self) -> None:
        if self.stop.is_set():
            self.ending.set()
        self.stop.set()

    async def _walk(self, target: Target) -> None:
        await self._attempt(f"walk of {target.name}", self._walk_once(target))

    async def _look(self, target: Target) -> None:
        await self._attempt(f"look at {target.name}", self._look_once(target))

    async def _walk_once(self, target: Target) -> None:
        cycle, health = self.cycle, self.health[target.name]
        if health.walking:
            return
        health.begin_walk()
        try:
            with self._reading(target):
                inventory = await cycle.walk(target)
                health.walked(complete=inventory.complete, at_ms=target.source.now_ms())
                await self.endings.forget(target)
                await self._settle()
        finally:
            health.walking = False

    async def _look_once(self, target: Target) -> None:
        health = self.health[target.name]
        if health.walking and not health.read:
            # The first walk reads everything that a look could.
            return
        if health.is_due():
            await self._walk_once(target)
            return
        with self._reading(target):
            async with asyncio.timeout(LONGEST_LOOK_S):
                await self.cycle.look(target, waiting=health.looks % LOOKS_PER_WAIT == 0)
            health.looked_ms = target.source.now_ms()
            await self._settle()

    async def _settle(self) -> None:
        cycle = self.cycle
        self.endings.part_with_stopped()
        cycle.broken = None
        if self.lease.held() and not self.stop.is_set():
            # What a failure stopped on its way is taken up again, as after a restart.
            await cycle.resume()
        await self._show_open()

    @contextlib.contextmanager
    def _reading(self, target: Target) -> Iterator[None]:
        """
        Note of a target whether it could be read; a ledger that fails meanwhile is noted as broken.
        """
        health = self.health[target.name]
        try:
            yield
        except (TargetError, BadInput) as error:
            health.failed(str(error))
        except LedgerUnusable as error:
            self.cycle.broken = error
            log.error("ledger.failed", error=str(error))
        else:
            health.error = ""

    async def _show_open(self) -> None:
        self.cycle.enforcer.metrics.left_open(*await self.cycle.enforcer.ledger.open_since())

    async def _recall(self, target: Target) -> None:
        queue, what = self.cycle.deadlines[target.name], f"recall of {target.name}"
        await self._attempt(what, self.cycle.recall.fill(target, queue))
        while what in self.failing:
            await self.clock.sleep(RETRY_S)
            await self._attempt(what, self.cycle.recall.fill(target, queue))

    async def _wait_for_deadlines(self, target: Target) -> None:
        queue, what = self.cycle.deadlines[target.name], f"deadlines of {target.name}"
        while True:
            queue.changed.clear()
            await self._attempt(what, self._meet_deadlines(target))
            if what in self.failing:
                await self.clock.sleep(RETRY_S)
                continue
            await queue.changed.wait()

    async def _meet_deadlines(self, target: Target) -> None:
        await self.cycle.decide_due(target)
        self.schedule.arm(target, self.cycle.deadlines[target.name])

    async def _attempt(self, what: str, turn: Awaitable[object]) -> None:
        """
        Do one turn of a loop that must not end; its failure is logged, counted, and told until it works.
        """
        try:
            await turn
        except Exception as error:
            self.failing[what] = f"{type(error).__name__}: {error}"
            self.cycle.enforcer.metrics.scheduler_events.labels("error").inc()
            log.error("turn.failed", what=what, error=str(error), kind=type(error).__name__)
        else:
            self.failing.pop(what, None)

    async def _tick_forever(self) -> None:
        beaten = -HEARTBEAT_S
        while True:
            now = self.ticked = asyncio.get_running_loop().time()
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
        for name, target in self.cycle.targets.items():
            # The clocks may have moved since.
            self.schedule.arm(target, self.cycle.deadlines[name])
        released = await self.standby.look()
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
