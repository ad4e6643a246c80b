"""
The daemon: starts everything, keeps it running, and ends it in order.

Each target whose lease this process has gets a ``Tenure``, with its walks, looks and deadlines. The ``Heart`` keeps the
leases; once a second one tick looks at what holds acts back, and another one at the files of policies and prices. A first
SIGTERM or SIGINT lets the intents on their way finish, a second one ends at once; both leave a ledger that the next start
takes up.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from guard.core.policy import PolicySet
from guard.daemon.cycle import Cycle
from guard.daemon.draining import drained, obeyed
from guard.daemon.endings import Endings
from guard.daemon.estimating import TURNS, Estimating
from guard.daemon.health import Health
from guard.daemon.heart import TICK_S, Heart
from guard.daemon.policies import PolicyFolder
from guard.daemon.schedule import Intervals, Schedule
from guard.daemon.standby import Standby
from guard.daemon.tenures import Tenures
from guard.daemon.watch import PolicyWatch, PriceFile
from guard.ports import Clock, Lease

# How often what other replicas recorded is taken over into the totals that have no target.
SHOWN_S = 60.0
DRAIN_S = 25.0

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
    heartbeat_s: float = 5.0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    failing: dict[str, str] = field(default_factory=dict)
    watch: PolicyWatch = field(init=False)
    schedule: Schedule = field(init=False)
    standby: Standby = field(init=False)
    tenures: Tenures = field(init=False)
    heart: Heart = field(init=False)
    _undecided: bool = False
    _looked: float = 0.0

    def __post_init__(self) -> None:
        self.watch = PolicyWatch(folder=self.folder, prices=self.prices, cycle=self.cycle, clock=self.clock)
        self.standby = Standby(cycle=self.cycle)
        self.schedule = Schedule(clock=self.clock, metrics=self.cycle.enforcer.metrics)
        self.tenures = Tenures(
            cycle=self.cycle,
            lease=self.lease,
            endings=self.endings,
            schedule=self.schedule,
            intervals=self.intervals,
            clock=self.clock,
            attempt=self._attempt,
            failing=self.failing,
            ending=self.ending,
            stop=self.stop,
        )
        self.heart = Heart(
            cycle=self.cycle,
            lease=self.lease,
            tenures=self.tenures,
            attempt=self._attempt,
            failing=self.failing,
            every_s=self.heartbeat_s,
        )

    async def run(self, policies: PolicySet) -> None:
        """
        Run until told to stop. The process must have joined those who act on the ledger (``Lease.acquire``).
        """
        metrics = self.cycle.enforcer.metrics
        metrics.start(())
        metrics.armed.set(any(one.terminator is not None for one in self.cycle.targets.values()))
        self.cycle.active.clear()
        self.watch.take(policies)
        # A ledger that fails right now is one that fails later: what could not be done is done when it is back.
        await self._attempt("totals", self._show_totals())
        self.schedule.start()
        await self._attempt("tenures", self.tenures.follow())
        self._looked = asyncio.get_running_loop().time()
        estimating = asyncio.create_task(Estimating(endings=self.endings).follow(self._attempt))
        loops = *self.heart.loops(), self._look_forever(), self._watch_forever(), self._show_forever()
        tickers = [asyncio.create_task(one) for one in loops]
        try:
            await self.stop.wait()
        finally:
            log.info("guard.stopping", on_their_way=len(self.cycle.drives.under_way))
            self.schedule.stop()
            estimating.cancel()
            await self.tenures.rest()
            # What a turn still puts on record is for the next start: nobody would wait for the end of its call.
            self.cycle.drives.stopped = True
            left = await drained(list(self.cycle.drives.under_way.values()), ending=self.ending, within_s=DRAIN_S)
            log.info("guard.stopped", left_open=left)
            for task in tickers:
                task.cancel()
            await asyncio.gather(estimating, *tickers, return_exceptions=True)

    @property
    def health(self) -> Mapping[str, Health]:
        """
        How the reading of each target goes, while this process acts on it.
        """
        return self.tenures.health

    def ready(self) -> list[str]:
        """
        Return what speaks against this process being of use now.
        """
        found = self.tenures.unread()
        if not self.lease.held():
            found.append("the ledger is not held by this process")
        if self.cycle.drives.broken is not None:
            found.append(f"the ledger failed: {self.cycle.drives.broken}")
        return found + [f"{what} fails: {error}" for what, error in self.failing.items() if what not in TURNS]

    def notes(self) -> list[str]:
        """
        Return what a person should know although this process is of use: refused policies, a pause, failed walks, savings.
        """
        found = self.tenures.notes()
        found += [*self.watch.notes(), *(f"{one} fails: {self.failing[one]}" for one in TURNS if one in self.failing)]
        return found + self.standby.notes()

    def alive(self) -> list[str]:
        """
        Return what says that this process hangs.
        """
        silent = max(self.heart.silent_s(), asyncio.get_running_loop().time() - self._looked)
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

    async def _look_forever(self) -> None:
        while True:
            self._looked = asyncio.get_running_loop().time()
            await self._attempt("pause and lease", self._look_around())
            await asyncio.sleep(TICK_S)

    async def _watch_forever(self) -> None:
        while True:
            at_once = self.reload.is_set()
            self.reload.clear()
            await self._attempt("policies", self._look_at_policies(at_once=at_once))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.reload.wait(), TICK_S)

    async def _show_forever(self) -> None:
        while True:
            await asyncio.sleep(SHOWN_S)
            await self._attempt("totals", self._show_totals())

    async def _show_totals(self) -> None:
        self.cycle.enforcer.metrics.found(await self.cycle.enforcer.ledger.finding_counts())

    async def _look_at_policies(self, *, at_once: bool) -> None:
        if await self.watch.look(at_once=at_once):
            await self._decide_again(needed=True)

    async def _look_around(self) -> None:
        self.watch.show()
        for name in sorted(self.cycle.active):
            # The clocks may have moved since.
            self.schedule.arm(self.cycle.targets[name], self.cycle.deadlines[name])
        self.tenures.show_leases()
        released = await self.standby.look()
        await self._decide_again(needed=released)
        if not self.stop.is_set():
            await self.standby.take_up()
        if self.cycle.changed:
            self.cycle.show()
        self.cycle.enforcer.metrics.left_open(*await self.cycle.enforcer.ledger.open_since())

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
