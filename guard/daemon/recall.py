"""
The fleet as an earlier process left it: known before the first walk returns, and never acted on as it stands.

What the ledger says of a job brings its deadline onto the queue, and nothing more. Once the deadline has come, the job is
read first, which tells the service's clock too; only then it is decided on and may be planned.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.decide import Decision
from guard.core.facts import Inventory, Job, JobKey
from guard.daemon.deadlines import Deadlines
from guard.daemon.gate import Gate
from guard.daemon.remembering import Remembering
from guard.daemon.room import Room
from guard.daemon.targets import Target
from guard.daemon.view import AHEAD_MS, View
from guard.errors import BadInput, JobGone, TargetError

AT_ONCE = 16
CHUNK = 100
AGAIN_MS = 5_000

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Recall:
    """
    Which of the watched jobs are known from the ledger only: *unread* says when the ledger's reading of each was made.
    """

    view: View
    gate: Gate
    unread: dict[JobKey, int] = field(default_factory=dict)
    remembering: Remembering = field(init=False)

    def __post_init__(self) -> None:
        self.remembering = Remembering(self.gate.ledger)

    async def fill(self, target: Target, queue: Deadlines) -> int:
        """
        Watch the target's jobs that the ledger knows, and queue their deadlines; return how many jobs those are.

        May run beside a walk: of two readings of a job the newer one counts.
        """
        began = time.perf_counter()
        known = await self._known(target)
        new = [job for job in known if job.key not in self.view.decisions]
        for at in range(0, len(new), CHUNK):
            for job in new[at : at + CHUNK]:
                self.unread[job.key] = job.read_at_ms
                queue.put(job.key, self.wake_ms(self.view.look(job, now_ms=target.source.now_ms())))
            await asyncio.sleep(0)
        took_ms = int((time.perf_counter() - began) * 1000)
        log.info("fleet.recalled", target=target.name, jobs=len(new), deadlines=len(queue), took_ms=took_ms)
        return len(new)

    async def _known(self, target: Target) -> list[Job]:
        """
        Take over what the ledger knows of a target, and return its jobs.

        Jobs that were known while something else belonged to the target are not its jobs, so they are left out.
        """
        ledger = self.gate.ledger
        known, walk = await ledger.known(target.name), await ledger.walked(target.name)
        self.remembering.found(target.name, known)
        if walk is None or walk.scope != target.source.scope():
            return []
        if target.name not in self.view.complete and walk.finished_ms <= target.source.now_ms() + AHEAD_MS:
            # The percentage rests on the newest complete inventory, whoever read it, as long as it is not stale.
            self.view.complete[target.name] = Inventory(
                target=target.name, jobs=(), complete=True, started_at_ms=walk.started_ms, finished_at_ms=walk.finished_ms
            )
            self.view.running[target.name] = walk.running
        self.view.remember({job.key: seen for job, seen in known})
        return [job for job, _ in known]

    def is_unread(self, decision: Decision) -> bool:
        """
        Tell whether a decision rests on the ledger alone.
        """
        return decision.job.read_at_ms <= self.unread.get(decision.key, -1)

    def wake_ms(self, decision: Decision) -> int | None:
        """
        Return when a job has to be decided on again; one that is due and was not read by this process has to be at once.
        """
        own = decision.terminating
        if own is None or decision.spared or not self.is_unread(decision):
            return decision.wake_ms
        return decision.at_ms if own.deadline_ms is None else own.deadline_ms

    async def keep(self, target: Target, inventory: Inventory, decisions: Sequence[Decision]) -> None:
        """
        Record what a walk read, and let go of the jobs that were read since or are no longer watched.
        """
        await self.remembering.keep(inventory, decisions, scope=target.source.scope())
        left = [self.view.decisions[key] for key in self.unread if key in self.view.decisions]
        self.unread = {one.key: self.unread[one.key] for one in left if self.is_unread(one)}

    async def read_due(self, target: Target, due: Sequence[JobKey], queue: Deadlines, *, room: Room) -> list[JobKey]:
        """
        Read the due jobs that are known from the ledger only; return the jobs that may be acted on, and put the others back.

        Only a few are read at once, oldest deadline first, and none that could not be terminated anyway.
        """
        known = [key for key in due if key in self.view.decisions and self.is_unread(self.view.decisions[key])]
        ready = list(set(due).difference(known))
        wanted = []
        for one in self.view.decide_again(known, now_ms=target.source.now_ms()):
            queue.put(one.key, self.wake_ms(one))
            if one.terminating is not None and not one.spared:
                wanted.append(one.key)
        now_ms = target.source.now_ms()
        if wanted and await self._held(target, room, now_ms):
            for key in wanted:
                queue.put(key, now_ms + AGAIN_MS)
            return ready
        first = wanted[:AT_ONCE]
        for key, fresh in zip(first, await asyncio.gather(*(self._read(target, key) for key in first)), strict=True):
            queue.put(key, None if fresh else target.source.now_ms() + AGAIN_MS)
            if fresh:
                ready.append(key)
        return ready

    async def _held(self, target: Target, room: Room, now_ms: int) -> bool:
        total = room.allowance().total
        if target.name in room.stale() or await self.gate.closed_but_for_clock(target) is not None:
            return True
        return total is not None and await room.used(self.gate.ledger, now_ms) >= total

    async def _read(self, target: Target, key: JobKey) -> bool:
        """
        Take in a job as it is now; False if it could not be read, so that nothing may be done to it yet.
        """
        try:
            job = await target.source.read(key.job_id)
        except JobGone:
            self.view.drop(key)
            return False
        except (TargetError, BadInput) as error:
            log.warning("recalled.unread", target=target.name, job=key.job_id, error=str(error))
            return False
        if job.key != key:
            return False
        return not self.is_unread(self.view.look(job, now_ms=target.source.now_ms()))
