"""
What a walk leaves in the ledger: the memory and the facts of the jobs that changed, and the walk itself if it was complete.

A job that only ran on costs nothing: what is on record tells its time as well as the newest reading does. Its row is
written again after a while all the same, so that the record never is old.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from guard.core.decide import Decision
from guard.core.facts import Inventory, Job, JobKey, Missing
from guard.core.records import Walk
from guard.core.sighting import Sighting
from guard.core.spans import MINUTE_MS
from guard.ports import Ledger

BATCH = 2_000
REFRESH_MS = 30 * MINUTE_MS
DRIFT_MS = 2_000


class Mark(NamedTuple):
    """
    What is on record of a job, in few bytes: a digest of what does not move by itself, the clock, and when it was seen.

    *clock_ms* is where the job's duration was 0 if it runs, else the reading itself; -1 if there is none.
    """

    digest: int
    clock_ms: int
    seen_ms: int

    def serves(self, newer: "Mark") -> bool:
        """
        Tell whether what is on record says the same as a newer reading; half of the time is spread over the jobs.
        """
        age_ms = REFRESH_MS // 2 + self.digest % (REFRESH_MS // 2)
        same = self.digest == newer.digest and abs(newer.clock_ms - self.clock_ms) <= DRIFT_MS
        return same and self.seen_ms <= newer.seen_ms < self.seen_ms + age_ms


def mark(job: Job, seen: Sighting) -> Mark:
    """
    Return the mark of a reading.
    """
    clock_ms, reading = -1, job.duration_ms
    if seen.reading_ms is not None and seen.reading_at_ms is not None:
        clock_ms = seen.reading_at_ms - seen.reading_ms if seen.phase == "Running" else seen.reading_ms
    ticks = not isinstance(reading, Missing) and reading > 0
    digest = hash(
        (
            (seen.target, seen.run, seen.first_seen_ms, seen.phase, seen.ran, seen.reading_ms is None, seen.start_time_ms),
            (seen.waiting_since_ms, job.phase, job.secondary_phase, job.workspace, job.name, job.user, job.kind),
            (job.description, job.engine, job.image, job.pool_id, job.create_time_ms, job.start_time_ms, job.auto_stop_ms),
            job.annotations if isinstance(job.annotations, Missing) else frozenset(job.annotations.items()),
            (job.node_counts, job.resources, ticks or reading),
        )
    )
    return Mark(digest, clock_ms, seen.last_seen_ms)


@dataclass(slots=True)
class Remembering:
    """
    Writes what walks read to the ledger, in batches, between which others come to write too.

    *marks* are of the jobs whose facts are on record.
    """

    ledger: Ledger
    marks: dict[str, dict[JobKey, Mark]] = field(default_factory=dict)

    def found(self, target: str, known: Iterable[tuple[Job, Sighting]]) -> None:
        """
        Take note of what is on record already.
        """
        self.marks.setdefault(target, {}).update({job.key: mark(job, seen) for job, seen in known})

    async def keep(self, inventory: Inventory, decisions: Sequence[Decision], *, scope: str) -> int:
        """
        Record what a walk read, and which of the known jobs a complete one did not find; return how many rows that took.

        Raises ``LedgerUnusable``; what was not written then is written after the next walk.
        """
        marks = self.marks.setdefault(inventory.target, {})
        changed: dict[JobKey, tuple[Decision, Mark]] = {}
        rows = 0
        for at in range(0, len(decisions), BATCH):
            for one in decisions[at : at + BATCH]:
                before, newest = marks.get(one.key), mark(one.job, one.seen)
                if before is None or not before.serves(newest):
                    changed[one.key] = (one, newest)
            if len(changed) >= BATCH or at + BATCH >= len(decisions):
                rows += await self._write(inventory.target, changed)
                changed = {}
            else:
                # Deadlines do not wait for a hundred thousand comparisons.
                await asyncio.sleep(0)
        if not inventory.complete:
            return rows
        gone = marks.keys() - {job.key for job in inventory.jobs}
        await self._lose(inventory.target, list(gone))
        await self.ledger.note_walk(
            Walk(
                target=inventory.target,
                scope=scope,
                started_ms=inventory.started_at_ms,
                finished_ms=inventory.finished_at_ms,
                running=sum(job.phase == "Running" for job in inventory.jobs),
            )
        )
        return rows + len(gone)

    async def _write(self, target: str, changed: Mapping[JobKey, tuple[Decision, Mark]]) -> int:
        if changed:
            facts = {key: one.job for key, (one, _) in changed.items()}
            await self.ledger.remember([one.seen for one, _ in changed.values()], facts=facts)
            self.marks[target].update({key: newest for key, (_, newest) in changed.items()})
        return len(changed)

    async def _lose(self, target: str, gone: Sequence[JobKey]) -> None:
        for at in range(0, len(gone), BATCH):
            batch = gone[at : at + BATCH]
            await self.ledger.lose(batch)
            for key in batch:
                del self.marks[target][key]
