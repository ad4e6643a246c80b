"""
One target while this process acts on it: from when its lease came to when it goes.

What begins here ends here: walks, looks, deadlines, ends, and the terminations on their way. So whoever takes the target
afterwards, this process included, finds nothing of it running.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import structlog

from guard.daemon.cycle import Cycle
from guard.daemon.draining import drained
from guard.daemon.endings import Endings
from guard.daemon.health import LONGEST_LOOK_S, LOOKS_PER_WAIT, Health
from guard.daemon.lettinggo import let_go
from guard.daemon.schedule import Intervals, Schedule
from guard.daemon.targets import Target
from guard.errors import BadInput, LeaseLost, LedgerHeld, LedgerUnusable, TargetError
from guard.ports import Clock

RETRY_S = 5.0

log = structlog.get_logger("guard")
Attempt = Callable[[str, Awaitable[object]], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Tenure:
    """
    The turns of one *target*; each is made by *attempt*, which reports what it raises. *failing* is what it reported.

    *stop* says that the process ends, *ending* that it does not wait for what is on its way. *parting* is held while what
    belongs to a target is forgotten.
    """

    target: Target
    token: int
    cycle: Cycle
    endings: Endings
    schedule: Schedule
    intervals: Intervals
    clock: Clock
    attempt: Attempt
    failing: dict[str, str]
    ending: asyncio.Event
    stop: asyncio.Event
    health: Health
    parting: asyncio.Lock
    _waiters: list[asyncio.Task[None]] = field(default_factory=list)
    _turns: set[asyncio.Task[object]] = field(default_factory=set)

    def begin(self) -> None:
        """
        Begin the turns.
        """
        target, name = self.target, self.target.name
        self.cycle.active.add(name)
        turns = self._wait_for_deadlines(), self._recall(), self.endings.follow(target, self.attempt)
        self._waiters = [asyncio.create_task(one) for one in turns]
        self.schedule.every("walk", target, self._walk, seconds=self.intervals.walk_s, at_once=True)
        self.schedule.every("look", target, self._look, seconds=self.intervals.scan_s, at_once=False)
        log.info("lease.taken", target=name, token=self.token)

    def rest(self) -> None:
        """
        Begin nothing any more; what is on its way goes on.
        """
        for task in self._waiters:
            task.cancel()

    async def end(self, *, within_s: float, why: str) -> None:
        """
        Begin nothing any more, let the terminations on their way finish within that time, and forget the target.

        What is not finished stays open in the ledger, for the next holder.
        """
        name = self.target.name
        self.cycle.active.discard(name)
        self.schedule.forget(self.target)
        tasks = [*self._waiters, *self._turns]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        drives = self.cycle.drives.of(name)
        # What others asked for together with it goes on, but begins nothing of a target that is not active.
        left, _, _ = await asyncio.gather(
            drained(drives, ending=self.ending, within_s=within_s), self.cycle.acts.quiet(), self.cycle.resumes.quiet()
        )
        async with self.parting:
            let_go(self.cycle, self.target)
            # A hundred that end together leave the heart its turn in between.
            await asyncio.sleep(0)
        if isinstance(self.cycle.drives.broken, LedgerHeld):
            self.cycle.drives.broken = None
        for what in [one for one in self.failing if one.endswith(f" {name}")]:
            del self.failing[what]
        log.info("lease.ended", target=name, token=self.token, why=why, left_open=left)

    def told(self) -> str:
        """
        Return in a sentence how the target is.
        """
        name, cycle = self.target.name, self.cycle
        watched, queued = sum(cycle.view.tally(name).users.values()), len(cycle.deadlines[name])
        how = self.health.told(watched=watched, queued=queued, now_ms=self.target.source.now_ms())
        return f"target {name}: {how}"

    async def _walk(self, target: Target) -> None:
        await self._turn(self.attempt(f"walk of {target.name}", self._walk_once()))

    async def _look(self, target: Target) -> None:
        await self._turn(self.attempt(f"look at {target.name}", self._look_once()))

    async def _turn(self, turn: Awaitable[object]) -> None:
        # The scheduler's own task would go on when the target is let go.
        task = asyncio.ensure_future(turn)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})

    async def _walk_once(self) -> None:
        cycle, health, target = self.cycle, self.health, self.target
        if health.walking:
            return
        health.begin_walk()
        try:
            with self._reading():
                inventory = await cycle.walk(target)
                health.walked(complete=inventory.complete, at_ms=target.source.now_ms())
                await self.endings.forget(target)
                await self._settle()
        finally:
            health.walking = False

    async def _look_once(self) -> None:
        health = self.health
        if health.walking and not health.read:
            # The first walk reads everything that a look could.
            return
        if health.is_due():
            await self._walk_once()
            return
        with self._reading():
            async with asyncio.timeout(LONGEST_LOOK_S):
                await self.cycle.look(self.target, waiting=health.looks % LOOKS_PER_WAIT == 0)
            health.looked_ms = self.target.source.now_ms()
            await self._settle()

    async def _settle(self) -> None:
        cycle, ledger = self.cycle, self.cycle.enforcer.ledger
        self.endings.part_with_stopped()
        cycle.drives.broken = None
        if cycle.enforcer.gate.lease.held(self.target.name) and not self.stop.is_set():
            # What a failure stopped on its way is taken up again, as after a restart.
            await cycle.resume()
        cycle.enforcer.metrics.left_open(*await ledger.open_since())

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """
        Note of the target whether it could be read; a ledger that fails meanwhile is noted as broken.
        """
        try:
            yield
        except (TargetError, BadInput) as error:
            self.health.failed(str(error))
        except LeaseLost as error:
            # The tenure is about to end.
            log.warning("lease.lost", target=self.target.name, error=str(error))
        except LedgerUnusable as error:
            self.cycle.drives.broken = error
            log.error("ledger.failed", error=str(error))
        else:
            self.health.error = ""

    async def _recall(self) -> None:
        target = self.target
        queue, what = self.cycle.deadlines[target.name], f"recall of {target.name}"
        await self.attempt(what, self.cycle.recall.fill(target, queue))
        while what in self.failing:
            await self.clock.sleep(RETRY_S)
            await self.attempt(what, self.cycle.recall.fill(target, queue))

    async def _wait_for_deadlines(self) -> None:
        queue, what = self.cycle.deadlines[self.target.name], f"deadlines of {self.target.name}"
        while True:
            queue.changed.clear()
            await self.attempt(what, self._meet_deadlines())
            if what in self.failing:
                await self.clock.sleep(RETRY_S)
                continue
            await queue.changed.wait()

    async def _meet_deadlines(self) -> None:
        await self.cycle.decide_due(self.target)
        self.schedule.arm(self.target, self.cycle.deadlines[self.target.name])
