"""
The fleet as an earlier process left it: known before the first walk returns, and never acted on as it stands.

What the ledger says of a job brings its deadline onto the queue, and nothing more. Once the deadline has come, the job is
read first, which tells the service's clock too; only then it is decided on and may be planned.
"""

import asyncio
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.decide import Decision
from guard.core.facts import Inventory, JobKey
from guard.core.lanes import Lane
from guard.core.limits import Fleet
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
    Brings the fleet back from the ledger. *strangers* are jobs on record that do not belong to their target any more.
    """

    view: View
    gate: Gate
    remembering: Remembering
    strangers: dict[str, list[JobKey]] = field(default_factory=dict)

    async def fill(self, target: Target, queue: Deadlines) -> int:
        """
        Watch the target's jobs that the ledger knows, and queue their deadlines; return how many jobs those are.

        May run beside a walk: of two readings of a job the newer one counts.
        """
        began, jobs, after = time.perf_counter(), 0, None
        own = await self._is_own(target)
        while known := await self.gate.ledger.known(target.name, after=after):
            after = known[-1][0].key
            if not own:
                self.strangers.setdefault(target.name, []).extend(job.key for job, _ in known)
                continue
            for at in range(0, len(known), CHUNK):
                some = [one for one in known[at : at + CHUNK] if not self.remembering.has_left(one[0])]
                new = self.view.recall(some, now_ms=target.source.now_ms())
                for key in new:
                    queue.put(key, self.wake_ms(key))
                jobs += len(new)
                await asyncio.sleep(0)
        took_ms = int((time.perf_counter() - began) * 1000)
        log.info("fleet.recalled", target=target.name, jobs=jobs, deadlines=len(queue), took_ms=took_ms)
        return jobs

    async def _is_own(self, target: Target) -> bool:
        """
        Tell whether what is on record of a target's jobs is still about it, and take over its newest complete walk.

        Jobs that were known while something else belonged to the target are not its jobs.
        """
        walk = await self.gate.ledger.walked(target.name)
        if walk is None or walk.scope != target.source.scope():
            return False
        if target.name not in self.view.complete and walk.finished_ms <= target.source.now_ms() + AHEAD_MS:
            # The percentage rests on the newest complete inventory, whoever read it, as long as it is not stale.
            self.view.complete[target.name] = Inventory(
                target=target.name, jobs=0, complete=True, started_at_ms=walk.started_ms, finished_at_ms=walk.finished_ms
            )
            # What an earlier version did not count allows the least until a walk of this one has.
            fleet = Fleet(running=walk.running, cards=walk.cards or 0, largest=walk.largest or 0)
            self.view.running[target.name] = fleet
        return True

    def is_unread(self, decision: Decision) -> bool:
        """
        Tell whether a decision rests on the ledger alone.
        """
        one = self.view.watched.get(decision.key)
        return one is not None and one.recalled and decision.job.read_at_ms <= one.job.read_at_ms

    def wake_ms(self, key: JobKey) -> int | None:
        """
        Return when a job has to be decided on again; one that is due and was not read by this process has to be at once.
        """
        one = self.view.watched.get(key)
        if one is None or not one.recalled:
            return None if one is None else one.wake_ms
        decision = self.view.decisions.get(key)
        own = decision.terminating if decision is not None else None
        if decision is None or own is None or decision.spared:
            return one.wake_ms
        return decision.at_ms if own.deadline_ms is None else own.deadline_ms

    def keep_due(self, key: JobKey, queue: Deadlines, *, busy: Container[JobKey], now_ms: int) -> bool:
        """
        Make a job due now whose moment was awaited and that the newest decision terminates; False, with nothing done, of any
        other, and of one that is *busy* or held back.
        """
        decision = self.view.decisions.get(key)
        if decision is None or decision.terminating is None or key in busy or key in self.view.held:
            return False
        return queue.hasten(key, now_ms)

    async def close(self, target: Target, inventory: Inventory, queue: Deadlines, *, walk: int) -> None:
        """
        Take in the end of a walk, and bring the ledger up to date with it; what left has no deadline any more.
        """
        for one in self.view.close(inventory, walk=walk):
            self.remembering.left[one.job.key] = one
            queue.put(one.job.key, None)
        await self.remembering.write()
        if inventory.complete:
            strangers = [key for key in self.strangers.pop(target.name, ()) if key not in self.view.watched]
            await self.remembering.part_with(strangers)
            await self.remembering.note(inventory, scope=target.source.scope())

    async def read_due(self, target: Target, due: Sequence[JobKey], queue: Deadlines, *, room: Room) -> list[JobKey]:
        """
        Read the due jobs that are known from the ledger only; return the jobs that may be acted on, and put the others back.

        Only a few are read at once, oldest deadline first, and none that could not be terminated anyway.
        """
        known = [key for key in due if key in self.view.watched and self.view.watched[key].recalled]
        ready = list(set(due).difference(known))
        self.view.decide_again(known, now_ms=target.source.now_ms())
        wanted = []
        for key in known:
            queue.put(key, self.wake_ms(key))
            decision = self.view.decisions.get(key)
            if decision is not None and decision.terminating is not None and not decision.spared:
                wanted.append(key)
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
            job = await target.source.read(key.job_id, lane=Lane.CHECK, rank=self.wake_ms(key) or 0)
        except JobGone:
            one = self.view.drop(key)
            if one is not None:
                self.remembering.left[key] = one
            return False
        except (TargetError, BadInput) as error:
            log.warning("recalled.unread", target=target.name, job=key.job_id, error=str(error))
            return False
        if job.key != key:
            return False
        return not self.is_unread(self.view.look(job, now_ms=target.source.now_ms()))
