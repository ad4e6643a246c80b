"""
Which targets this process acts on: one ``Tenure`` for each lease that it has, begun and ended as leases come and go.
"""

import asyncio
from dataclasses import dataclass, field

import structlog

from guard.daemon.cycle import Cycle
from guard.daemon.endings import Endings
from guard.daemon.health import Health
from guard.daemon.schedule import Intervals, Schedule
from guard.daemon.tenure import Attempt, Tenure
from guard.ports import Clock, Lease, Term

# Another replica waits for the target meanwhile; what is not finished by then, it finishes.
HAND_OVER_S = 5.0

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Tenures:
    """
    The tenures of a daemon, by target, and the ends of earlier ones that are still under way.
    """

    cycle: Cycle
    lease: Lease
    endings: Endings
    schedule: Schedule
    intervals: Intervals
    clock: Clock
    attempt: Attempt
    failing: dict[str, str]
    ending: asyncio.Event
    stop: asyncio.Event
    now: dict[str, Tenure] = field(default_factory=dict)
    health: dict[str, Health] = field(init=False)
    _ends: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _parting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.health = {name: Health() for name in self.cycle.targets}

    async def follow(self) -> None:
        """
        Begin and end tenures by the leases that this process has now. Raises ``LedgerUnusable``.
        """
        terms = self.lease.terms()
        for name, tenure in list(self.now.items()):
            term = terms.get(name)
            if term is None or term.lost or term.token != tenure.token:
                self._end(name, within_s=0.0, why="lost")
            elif term.wanted:
                self._end(name, within_s=HAND_OVER_S, why="handed over")
        for name, term in terms.items():
            if (term.lost or term.wanted) and name not in self.now and name not in self._ends:
                # It went before its tenure began, or could not be given back when that ended.
                await self._release(name)
        await self._begin()
        self.show_leases()

    async def rest(self) -> None:
        """
        Begin nothing any more; what is on its way goes on.
        """
        for tenure in self.now.values():
            tenure.rest()
        await asyncio.gather(*self._ends.values(), return_exceptions=True)

    def show_leases(self) -> None:
        """
        Show on which targets this process acts.
        """
        leader = self.cycle.enforcer.metrics.leader
        for name in self.cycle.targets:
            leader.labels(name).set(name in self.now and self.lease.held(name))

    def unread(self) -> list[str]:
        """
        Return which of the targets have not been read yet, those on which nothing has begun yet included.
        """
        there = self._fit().keys() - self._ends.keys()
        read = {name for name, one in self.now.items() if one.health.read}
        return [f"target {name} was not read yet" for name in sorted((there | self.now.keys()) - read)]

    def notes(self) -> list[str]:
        """
        Return how the targets are, or that there is none.
        """
        found = [one.told() for _, one in sorted(self.now.items())]
        elsewhere = len(self.cycle.targets) - len(self.now)
        if elsewhere:
            whose = "on standby: " if not found else ""
            found.append(f"{whose}{elsewhere} of {len(self.cycle.targets)} targets are another replica's now")
        return found

    def _fit(self) -> dict[str, Term]:
        """
        Return the leases under which something may begin.
        """
        return {name: one for name, one in self.lease.terms().items() if not (one.lost or one.wanted)}

    async def _begin(self) -> None:
        if self.stop.is_set() or not (new := self._fit().keys() - self.now.keys() - self._ends.keys()):
            return
        cycle, ledger = self.cycle, self.cycle.enforcer.ledger
        book = cycle.view.terms.prices
        potentials, clawed_back = await ledger.savings.counted()
        tallies = await ledger.tallies()
        # The heart has gone on meanwhile; nothing waits from here to where the tenures have begun.
        fit = {name: term for name, term in self._fit().items() if name in new}
        cycle.enforcer.metrics.begin(fit, cycle.view.policies, "" if book is None else book.currency)
        cycle.enforcer.metrics.seed(
            [one for one in tallies if one.target in fit],
            {},
            [one for one in potentials if one.target in fit],
            [one for one in clawed_back if one.target in fit],
        )
        for name, term in fit.items():
            self.health[name] = Health()
            self.now[name] = Tenure(
                health=self.health[name],
                target=cycle.targets[name],
                token=term.token,
                cycle=cycle,
                endings=self.endings,
                schedule=self.schedule,
                intervals=self.intervals,
                clock=self.clock,
                attempt=self.attempt,
                failing=self.failing,
                ending=self.ending,
                stop=self.stop,
                parting=self._parting,
            )
            self.now[name].begin()
        # Intents that an earlier holder left; those of the targets that were there before have been taken up long ago.
        await cycle.resume()

    def _end(self, name: str, *, within_s: float, why: str) -> None:
        tenure = self.now.pop(name)
        task = asyncio.create_task(self._ended(tenure, within_s=within_s, why=why))
        self._ends[name] = task
        task.add_done_callback(lambda done: self._is_over(name, done))

    async def _ended(self, tenure: Tenure, *, within_s: float, why: str) -> None:
        await tenure.end(within_s=within_s, why=why)
        await self._release(tenure.target.name)

    async def _release(self, name: str) -> None:
        await self.attempt(f"release of {name}", self.lease.release(name))

    def _is_over(self, name: str, task: asyncio.Task[None]) -> None:
        del self._ends[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("turn.failed", what=f"end of {name}", error=str(error), kind=type(error).__name__)
