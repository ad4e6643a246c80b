"""
The savings of confirmed terminations: estimated after the fact, in turns of their own, and stored beside their inputs.

No kill waits for it: a turn reads the history page by page and counts in a thread. What fails is tried again at the next
turn, and what a process left open is taken up by the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from guard.core.clawback import clawbacks
from guard.core.estimate import Estimate, Method, estimate
from guard.core.facts import Job, JobKey
from guard.core.likeness import End, Ladder, PastRun
from guard.core.sighting import Sighting
from guard.core.spans import DAY_MS
from guard.core.work import resubmission, seen_from, unseen
from guard.daemon.endings import Endings
from guard.ports import Pending

EVERY_S = 30.0
# So few that a kill which waits for the ledger meanwhile waits for a blink.
AT_ONCE = 20
CLAW_BACK_S = 600.0
FOLLOWED_MS = 7 * DAY_MS
"""What follows a termination is looked at for so long; what it costs after that is taken back no more."""
MOST_RUNS = 100_000
"""So many of the runs that ended last say how long others go on, and at most so many of those that still run."""
MOST_RUNNING = 20_000
BETWEEN = 50
"""After so many live jobs others have their turn."""
_LATEST_MS = 2**62
TURNS = ("savings", "claw-back")
"""What these turns are called. A guard whose figures wait terminates as ever, so they do not speak against its readiness."""

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Estimating:
    """
    Estimates what confirmed terminations saved, by the history that *endings* writes as it is when their turn comes.
    """

    endings: Endings
    most_runs: int = MOST_RUNS

    async def follow(self, attempt: Callable[[str, Awaitable[object]], Awaitable[None]]) -> None:
        """
        Take turns for ever; each is made by *attempt*, which reports what it raises.
        """
        taken_s = -CLAW_BACK_S
        while True:
            await attempt(TURNS[0], self.turn())
            if self.endings.clock.monotonic() - taken_s >= CLAW_BACK_S:
                taken_s = self.endings.clock.monotonic()
                await attempt(TURNS[1], self.claw_back())
            await self.endings.clock.sleep(EVERY_S)

    async def turn(self) -> None:
        """
        Estimate everything that has no estimate. Raises ``LedgerUnusable``; nothing is done without the lease.
        """
        enforcer, stored = self.endings.cycle.enforcer, True
        savings, ladder = enforcer.ledger.savings, None
        while stored and enforcer.gate.lease.held() and (pending := await savings.pending(limit=AT_ONCE)):
            ladder = ladder or await self.ladder()
            made = await asyncio.to_thread(_estimated, pending, ladder, enforcer.confirmation.method)
            if not enforcer.gate.lease.held():
                return
            intents = await savings.put(made)
            for intent in intents:
                enforcer.metrics.savings.estimated(intent)
                figures = made[intent.number].figures
                log.info(
                    "savings.estimated",
                    intent=intent.number,
                    job=intent.draft.key.job_id,
                    policy=intent.draft.policy,
                    expected=figures.expected and str(figures.expected),
                    lower=str(figures.lower),
                    upper=str(figures.upper),
                    assumed=figures.assumed and str(figures.assumed),
                )
            stored = bool(intents)

    async def claw_back(self) -> None:
        """
        Take back of the savings of the last days what was submitted again. Raises ``LedgerUnusable``.
        """
        cycle, now_ms = self.endings.cycle, int(self.endings.clock.now() * 1000)
        savings, terms = cycle.enforcer.ledger.savings, cycle.view.terms
        if not (cycle.enforcer.gate.lease.held() and (ended := await savings.terminated(since_ms=now_ms - FOLLOWED_MS))):
            return
        runs = {(one.key, one.run): one for one in await savings.submitted(ended)}
        users = {one.user for one in ended}
        async for job, seen in self._live():
            if job.user in users:
                runs.setdefault((job.key, seen.run), resubmission(job, seen, terms))
        taken = await asyncio.to_thread(clawbacks, ended, list(runs.values()))
        for at in range(0, len(taken), AT_ONCE):
            if cycle.enforcer.gate.lease.held():
                told = await savings.claw_back(taken[at : at + AT_ONCE], at_ms=now_ms)
                cycle.enforcer.metrics.savings.taken_back(told)

    async def _live(self) -> AsyncIterator[tuple[Job, Sighting]]:
        """
        Yield live jobs of which the ledger knows the facts, not more than are bearable.
        """
        cycle = self.endings.cycle
        for target in cycle.targets:
            after, left = None, MOST_RUNNING
            while left > 0 and (known := await cycle.enforcer.ledger.known(target, after=after)):
                after, left = known[-1][0].key, left - len(known)
                for number, one in enumerate(known, 1):
                    yield one
                    if number % BETWEEN == 0:
                        # What is due meanwhile goes first: to reckon a page of jobs takes a quarter of a second.
                        await asyncio.sleep(0)

    async def ladder(self) -> Ladder:
        """
        Return the newest runs of the history, those that still run, and all that the guard ever stopped.
        """
        cycle, keep_ms = self.endings.cycle, self.endings.keep.history_ms
        ledger, clock = cycle.enforcer.ledger, cycle.view.terms.clock
        stopped: dict[tuple[JobKey, int], PastRun] = {}
        for one in await ledger.savings.stops():
            # Of several attempts the first: from then on it was not left alone.
            stopped.setdefault((one.key, one.run), one.past)
        now_ms = int(self.endings.clock.now() * 1000)
        from_ms = max(await ledger.savings.since(newest=self.most_runs), now_ms - keep_ms)
        runs = list(stopped.values())
        async for page in ledger.history.lives(from_ms=from_ms, to_ms=_LATEST_MS):
            # Those of the guard are there already, whatever became of the history.
            runs += [run for run in page if run.end is not End.GUARD]
        async for job, seen in self._live():
            going = None if (job.key, seen.run) in stopped else unseen(job, seen, clock)
            if going is not None:
                runs.append(going)
        return await asyncio.to_thread(_laddered, runs, from_ms)


def _laddered(runs: Sequence[PastRun], from_ms: int) -> Ladder:
    return Ladder(seen_from(run, from_ms) for run in runs)


def _estimated(pending: Sequence[Pending], ladder: Ladder, method: Method) -> Mapping[int, Estimate]:
    return {one.number: estimate(one.stopped, ladder, replace(method, horizon_ms=one.horizon_ms)) for one in pending}
