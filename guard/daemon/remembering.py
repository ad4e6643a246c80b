"""
What is kept in the ledger of the jobs that were seen: memory and facts, the newest complete walk, and runs that were lost.

A job that only ran on costs nothing: what is on record tells its time as well as the newest reading does. Its row is
written again after a while all the same, so that the record never is old.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from guard.core.ended import Ended, Told, lost, replaced
from guard.core.facts import Inventory, Job, JobKey
from guard.core.records import Walk
from guard.core.sighting import Sighting
from guard.daemon.view import View
from guard.daemon.watched import Watched
from guard.ports import Lease, Ledger

BATCH = 500


@dataclass(slots=True)
class Remembering:
    """
    Brings the ledger up to date with the view, in batches, between which others come to write too.

    *left* are jobs that are no longer watched, whose last memory is still to be written. What could not be written stays to
    be written. After that they are among *ends*, by target: those whose end is to be read, not before the moment given.
    """

    ledger: Ledger
    view: View
    lease: Lease
    left: dict[JobKey, Watched] = field(default_factory=dict)
    ends: dict[str, dict[JobKey, int]] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def recollect(self, jobs: Sequence[Job]) -> list[Job]:
        """
        Take over what the ledger remembers of jobs that are not watched; without it a second run would look like the first.

        Return the jobs that nobody has seen before.
        """
        view = self.view
        strange = [one for one in jobs if one.key not in view.watched and one.key not in view.memory]
        if not strange:
            return []
        # What was just dropped may not be in the ledger yet, and is newer than what is.
        view.remember({one.key: self.left[one.key].seen for one in strange if one.key in self.left})
        view.remember(await self.ledger.sightings([one.key for one in strange]))
        return [one for one in strange if view.seen(one.key) is None]

    def has_left(self, job: Job) -> bool:
        """
        Tell whether a job on record is known to have left, so that only its end is still to be read.
        """
        return job.key in self.left or job.key in self.ends.get(job.target, ())

    async def write(self) -> int:
        """
        Write what is news; return how many rows that took. Raises ``LedgerUnusable``.
        """
        rows = 0
        async with self._writing:
            while news := self._mine(self.view.news):
                rows += await self._write_news(news)
            while left := self._mine(self.left):
                batch = {key: self.left[key] for key in left}
                await self._put([(one.job, one.seen) for one in batch.values()])
                rows += len(batch)
                for key, one in batch.items():
                    if self.left.get(key) is one:
                        del self.left[key]
                        self.ends.setdefault(one.job.target, {})[key] = 0
        return rows

    def _mine(self, keys: Iterable[JobKey]) -> list[JobKey]:
        """
        Return the first of these jobs that this process may write about; of the others their holder writes.
        """
        return list(itertools.islice((key for key in keys if self.lease.acts_on(key)), BATCH))

    async def _write_news(self, keys: Sequence[JobKey]) -> int:
        rows = [(self.view.watched[key].job, self.view.watched[key].seen) for key in keys]
        self.view.news.difference_update(keys)
        try:
            await self._put(rows)
        except BaseException:
            self.view.news.update(key for key in keys if key in self.view.watched)
            raise
        for job, seen in rows:
            one = self.view.watched.get(job.key)
            if one is not None and one.seen is seen:
                one.keep(seen)
            elif one is not None:
                # It was read again meanwhile, and whether that is news can no longer be told.
                self.view.news.add(job.key)
            self.left.pop(job.key, None)
        return len(rows)

    async def _put(self, rows: Sequence[tuple[Job, Sighting]]) -> None:
        """
        Write memory and facts, and with those of a new run how the one before it ended.
        """
        seen, facts = [one for _, one in rows], {job.key: job for job, _ in rows}
        ends: list[Ended] = []
        if later := {one.key: one for one in seen if one.run > 1}:
            for key, (job, before) in (await self.ledger.history.last_known(list(later))).items():
                if job is not None and before.run < later[key].run and replaced(before, facts[key]):
                    ends.append(lost(job, before, self.view.terms, told=Told.RESTARTED))
        if ends:
            await self.ledger.history.put(ends, seen=seen, facts=facts)
        else:
            await self.ledger.remember(seen, facts=facts)

    async def part_with(self, keys: Sequence[JobKey]) -> None:
        """
        Record as ended what does not belong to its target any more, as it was last known.
        """
        for at in range(0, len(keys), BATCH):
            some = keys[at : at + BATCH]
            known = [(job, seen) for job, seen in (await self.ledger.history.last_known(some)).values() if job is not None]
            ends = [lost(job, seen, self.view.terms, told=Told.UNWATCHED) for job, seen in known]
            await self.ledger.history.put(ends, seen=[seen for _, seen in known])
            await self.ledger.lose(some)

    async def note(self, inventory: Inventory, *, scope: str) -> None:
        """
        Record a complete walk, unless somebody else acts on the target.
        """
        if inventory.target not in self.lease.terms():
            return
        fleet = self.view.running[inventory.target]
        await self.ledger.note_walk(
            Walk(
                target=inventory.target,
                scope=scope,
                started_ms=inventory.started_at_ms,
                finished_ms=inventory.finished_at_ms,
                running=fleet.running,
                cards=fleet.cards,
                largest=fleet.largest,
            )
        )
