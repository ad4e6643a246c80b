"""
The ends of jobs: whoever is no longer in the list is read once more, and how its run ended goes into the history.

A job that left stays on record with its facts until its end is there too, so nothing is lost with the process. It is read in
the lane of discovery, after everything else, and a few at a time: no walk and no termination waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.ended import Ended, Told, after, has_ended, lost, read
from guard.core.facts import Inventory, Job, JobKey
from guard.core.lanes import Lane
from guard.core.protocol import LAST
from guard.core.sighting import Sighting
from guard.core.spans import DAY_MS, MINUTE_MS
from guard.daemon.cycle import Cycle
from guard.daemon.targets import Target
from guard.errors import BadInput, JobGone, TargetError
from guard.ports import Clock

# So few that a kill which waits for the ledger meanwhile waits for a blink.
BATCH = 100
AT_ONCE = 4
EVERY_S = 5.0
AGAIN_MS = 5 * MINUTE_MS
MOST_SWEPT = 1_000
OLD_AT_ONCE = 500
MOST_OLD = 40

log = structlog.get_logger("guard")


Attempt = Callable[[str, Awaitable[object]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """
    How long the memory of ended jobs is kept, by which a restarted one is known, how long the history of runs, and how
    long findings.
    """

    ended_ms: int = 30 * DAY_MS
    history_ms: int = 400 * DAY_MS
    findings_ms: int = 400 * DAY_MS


@dataclass(slots=True, kw_only=True)
class Endings:
    """
    Reads the ends of the jobs of which the cycle's ``remembering`` says that they left, and drops what is old.
    """

    cycle: Cycle
    clock: Clock
    keep: Keep = field(default_factory=Keep)
    # Of jobs whose end the kill protocol has read, so that it is not asked for again.
    _readings: dict[JobKey, Job] = field(default_factory=dict)
    _reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def follow(self, target: Target, attempt: Attempt) -> None:
        """
        Read ends for ever, as jobs leave; each turn is made by *attempt*, which reports what it raises.
        """
        # What is to be stopped comes before what has ended: who takes over many targets at once reads those first.
        await self.clock.sleep(EVERY_S)
        await attempt(f"ends left by {target.name}", self.fill(target))
        while True:
            await attempt(f"ends of {target.name}", self.read_due(target))
            await self.clock.sleep(EVERY_S)

    async def fill(self, target: Target) -> None:
        """
        Take over what an earlier process left: jobs that had ended when they were last seen, and whose end is not recorded.
        """
        for key in await self.cycle.enforcer.ledger.history.left(target.name):
            self._wait_for(target, key)

    def part_with_stopped(self) -> None:
        """
        Watch jobs no longer whose end the kill protocol has read, unless they were read again since.

        The next complete walk may be far, and until then they would count as running, with what they cost.
        """
        cycle = self.cycle
        for intent in cycle.drives.settled:
            key, one = intent.draft.key, cycle.view.watched.get(intent.draft.key)
            reading = cycle.enforcer.ends.pop(key, None)
            if intent.outcome in LAST and one is not None and cycle.drives.is_of_ended_run(one.job):
                cycle.view.drop(key)
                cycle.remembering.left[key] = one
                if reading is not None:
                    self._readings[key] = reading
                cycle.deadlines[one.job.target].put(key, None)
                cycle.changed = True
            elif one is None and reading is not None and cycle.remembering.has_left(reading):
                # A walk missed it before its end was confirmed.
                self._readings[key] = reading
        cycle.drives.settled.clear()

    async def sweep(self, target: Target, inventory: Inventory) -> None:
        """
        Read the ends of jobs on record that a walk proved to be gone, as far as they are not too many for one go.
        """
        await self.fill(target)
        after, due = None, self.cycle.remembering.ends.setdefault(target.name, {})
        while inventory.complete and len(due) < MOST_SWEPT:
            known = await self.cycle.enforcer.ledger.known(target.name, after=after)
            if not known:
                break
            after = known[-1][0].key
            for _, seen in known:
                if seen.last_seen_ms <= inventory.started_at_ms:
                    self._wait_for(target, seen.key)
        await self.read_due(target)

    async def read_due(self, target: Target) -> None:
        """
        Read the ends that are to be read now, in batches. Raises ``LedgerUnusable``; what could not be read is tried again.

        Nothing is done while another process holds the target.
        """
        now_ms, due = target.source.now_ms(), self.cycle.remembering.ends.get(target.name, {})
        wanted = [key for key, not_before_ms in due.items() if not_before_ms <= now_ms]
        for at in range(0, len(wanted), BATCH):
            if self.cycle.enforcer.gate.lease.held(target.name):
                errors = await self._read(target, wanted[at : at + BATCH], due)
                if len(errors) == BATCH:
                    # It is the target rather than its jobs; the rest is tried when this turn comes again.
                    return

    async def forget(self, target: Target) -> None:
        """
        Drop what is kept no longer; of history and findings in small portions, between which others write.
        """
        cycle, now_ms = self.cycle, target.source.now_ms()
        await cycle.enforcer.ledger.forget(target.name, before_ms=now_ms - self.keep.ended_ms)
        cycle.view.forget(target.name, before_ms=now_ms - self.keep.ended_ms)
        history, keep = cycle.enforcer.ledger.history, self.keep
        for drop, kept_ms in ((history.forget, keep.history_ms), (history.forget_findings, keep.findings_ms)):
            for _ in range(MOST_OLD):
                if await drop(before_ms=now_ms - kept_ms, limit=OLD_AT_ONCE) < OLD_AT_ONCE:
                    break

    def _wait_for(self, target: Target, key: JobKey) -> None:
        if key not in self.cycle.view.watched:
            self.cycle.remembering.ends.setdefault(target.name, {}).setdefault(key, 0)

    async def _read(self, target: Target, keys: Sequence[JobKey], due: dict[JobKey, int]) -> Sequence[str]:
        ledger, view = self.cycle.enforcer.ledger, self.cycle.view
        # Whatever is there again has a run that goes on; what became of an earlier one is recorded with that.
        wanted = [key for key in keys if key not in view.watched]
        busy = await ledger.history.busy(wanted)
        known = await ledger.history.last_known([key for key in wanted if key not in busy])
        over = [key for key in wanted if key not in busy and key not in known]
        await ledger.lose(over)
        pairs = [(job or _bare(seen), seen) for job, seen in known.values()]
        errors: list[str] = []
        found = await asyncio.gather(*(self._end_of(target, job, seen, errors) for job, seen in pairs))
        if errors:
            log.warning("ends.unread", target=target.name, jobs=len(errors), error=errors[0])
        new = [(ends, seen) for (_, seen), ends in zip(pairs, found, strict=True) if ends and seen.key not in view.watched]
        if new:
            seen_after = [after(ends[-1], seen) for ends, seen in new]
            measured = await ledger.history.put([end for ends, _ in new for end in ends], seen=seen_after)
            self.cycle.enforcer.metrics.savings.measured(measured)
        done = {*over, *(seen.key for _, seen in new)}
        again_ms = target.source.now_ms() + AGAIN_MS
        for key in keys:
            if key in done or key in view.watched:
                due.pop(key, None)
                self._readings.pop(key, None)
            else:
                due[key] = again_ms
        return errors

    async def _end_of(self, target: Target, before: Job, seen: Sighting, errors: list[str]) -> Sequence[Ended]:
        """
        Read a job once more; return how its run ended (and the one before, if another began unseen), () if that is unknown.

        What kept it from being read is added to *errors*.
        """
        terms = self.cycle.view.terms
        job = self._readings.pop(seen.key, None)
        try:
            if job is None or job.read_at_ms < seen.last_seen_ms:
                async with self._reads:
                    job = await target.source.read(seen.key.job_id, lane=Lane.DISCOVERY, rank=seen.last_seen_ms)
        except JobGone:
            return [lost(before, seen, terms, told=Told.GONE)]
        except (TargetError, BadInput) as error:
            errors.append(f"job {seen.key.job_id[:100]!r}: {error}")
            return ()
        if job.key != seen.key:
            # The target is another project by now; what it says is about another job.
            return [lost(before, seen, terms, told=Told.UNWATCHED)]
        if not has_ended(job):
            # It runs again, or a walk cannot see it. Only what a walk or a look finds is watched, so it is read again later.
            return ()
        end = read(job, before, seen, terms)
        return [end] if end.run == seen.run else [lost(before, seen, terms, told=Told.RESTARTED), end]


def _bare(seen: Sighting) -> Job:
    """
    Return a job of which only the memory is known: its facts were written in another way.
    """
    return Job(key=seen.key, target=seen.target, read_at_ms=seen.last_seen_ms, phase=seen.phase)
