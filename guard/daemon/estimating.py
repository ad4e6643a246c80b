"""
The savings of confirmed terminations: estimated after the fact, in turns of their own, and stored beside their inputs.

Runs that a policy only observed are estimated likewise, as if they had been ended: forecasts, which they prove true or not.

No kill waits for it: a turn reads the history page by page and counts in a thread. What fails is tried again at the next
turn, and what a process left open is taken up by the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

import structlog

from guard.core.clawback import clawbacks
from guard.core.estimate import Estimate, Method, estimate, estimated
from guard.core.facts import Job, JobKey
from guard.core.likeness import End, Ladder, PastRun
from guard.core.sighting import Sighting
from guard.core.spans import DAY_MS, MINUTE_MS
from guard.core.work import resubmission, seen_from, unseen
from guard.daemon.endings import Endings
from guard.ports import Asked, Pending

EVERY_S = 30.0
# So few that a kill which waits for the ledger meanwhile waits for a blink.
AT_ONCE = 20
FEW = 100
CLAW_BACK_S = 600.0
FORECAST_S = 300.0
"""Forecasts need no hurry, since no moment but that of the match counts for them, and each turn reads the history."""
MOST_FORECAST = 200
"""So many in a turn, or a first look at a large fleet would keep the terminations waiting for their estimates."""
FOLLOWED_MS = 7 * DAY_MS
"""What follows a termination is looked at for so long; what it costs after that is taken back no more."""
MOST_RUNS = 100_000
"""So many of the runs that ended last say how long others go on, and at most so many of those that still run."""
MOST_RUNNING = 20_000
BETWEEN = 50
"""After so many live jobs others have their turn."""
_LATEST_MS = 2**62
TURNS = ("savings", "claw-back", "forecasts")
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
        clock, due_s = self.endings.clock, {TURNS[1]: 0.0, TURNS[2]: 0.0}
        while True:
            await attempt(TURNS[0], self.turn())
            for what, act, every_s in ((TURNS[1], self.claw_back, CLAW_BACK_S), (TURNS[2], self.forecast, FORECAST_S)):
                if clock.monotonic() >= due_s[what]:
                    due_s[what] = clock.monotonic() + every_s
                    await attempt(what, act())
            await clock.sleep(EVERY_S)

    async def once(self) -> None:
        """
        Estimate what there is, for who runs no turns. What was done stands whatever fails, which the next turn makes up for.
        """
        for what, act in ((TURNS[0], self.turn), (TURNS[2], self.forecast)):
            try:
                await act()
            except Exception as error:
                log.error("turn.failed", what=what, error=str(error), kind=type(error).__name__)

    async def turn(self) -> None:
        """
        Estimate everything that has no estimate. Raises ``LedgerUnusable``; nothing is done without the lease.
        """
        enforcer, stored = self.endings.cycle.enforcer, True
        savings, lease, ladder = enforcer.ledger.savings, enforcer.gate.lease, None
        while stored and lease.held() and (pending := await savings.pending(limit=AT_ONCE, mine=lease.acts_on)):
            ladder = ladder or await self.ladder()
            made = await asyncio.to_thread(_estimated, pending, ladder, enforcer.confirmation.method)
            if not lease.held():
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

    async def forecast(self) -> None:
        """
        Estimate observed runs as if they had been ended at the match. Raises ``LedgerUnusable``.

        However late the turn comes, nothing counts of any run, its own included, but what had happened before the minute of
        the match: ``Ladder.before`` takes one that ended or was stopped in it or later for one that still ran then, and
        leaves out one that was not seen by then. What the run itself was (``basis``) was recorded with the match. Of a
        turn that comes very late only what the history has dropped since is missing.
        """
        enforcer, left, ladder = self.endings.cycle.enforcer, MOST_FORECAST, None
        forecasts = enforcer.ledger.forecasts
        mine = enforcer.gate.lease.acts_on
        while left > 0 and enforcer.gate.lease.held() and (asked := await forecasts.asked(limit=min(left, FEW), mine=mine)):
            ladder = ladder or await self.ladder()
            made = await asyncio.to_thread(_forecast, asked, ladder)
            left -= len(made)
            numbers, stored = iter(made), 0
            while (some := {one: made[one] for one in islice(numbers, AT_ONCE)}) and enforcer.gate.lease.held():
                stored += await forecasts.put(some)
            log.info("savings.forecast", matches=stored, measured=sum(one.figures.rung is not None for one in made.values()))
            if not stored:
                return

    async def claw_back(self) -> None:
        """
        Take back of the savings of the last days what was submitted again. Raises ``LedgerUnusable``.
        """
        cycle, now_ms = self.endings.cycle, int(self.endings.clock.now() * 1000)
        savings, terms = cycle.enforcer.ledger.savings, cycle.view.terms
        lease = cycle.enforcer.gate.lease
        ended = await savings.terminated(since_ms=now_ms - FOLLOWED_MS) if lease.held() else ()
        if not (ended := [one for one in ended if lease.acts_on(one.key)]):
            return
        runs = {(one.key, one.run): one for one in await savings.submitted(ended)}
        users = {one.user for one in ended}
        async for job, seen in self._live():
            if job.user in users:
                runs.setdefault((job.key, seen.run), resubmission(job, seen, terms))
        taken = await asyncio.to_thread(clawbacks, ended, list(runs.values()))
        for at in range(0, len(taken), AT_ONCE):
            if lease.held():
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


def _forecast(asked: Sequence[Asked], ladder: Ladder) -> Mapping[int, Estimate]:
    # By the minute, so that those of one minute share their groups.
    minutes = groupby(sorted(asked, key=_minute_ms), key=_minute_ms)
    return {one.number: estimated(one.basis, ladder.before(minute_ms)) for minute_ms, some in minutes for one in some}


def _minute_ms(one: Asked) -> int:
    return one.at_ms - one.at_ms % MINUTE_MS


def _laddered(runs: Sequence[PastRun], from_ms: int) -> Ladder:
    return Ladder(seen_from(run, from_ms) for run in runs)


def _estimated(pending: Sequence[Pending], ladder: Ladder, method: Method) -> Mapping[int, Estimate]:
    return {one.number: estimate(one.stopped, ladder, replace(method, horizon_ms=one.horizon_ms)) for one in pending}
