"""
The reading that a kill rests on: of the very job, and not older than what is known of it by another way.

An answer that a newer state contradicts is never believed. Where it only differs from another reading that speaks against
the act, nobody can tell which of the two is newer: then the job is read for half a minute more, and the last answer counts.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from guard.core.facts import TERMINABLE_PHASES, Job
from guard.core.lanes import Lane
from guard.core.outdated import outdated
from guard.core.protocol import Outcome
from guard.core.records import Closing, Intent
from guard.daemon.objections import objection, too_early_ms
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.errors import Refused, Unauthorized
from guard.ports import Clock

# A copy that lags has caught up with what is known by the end of it, or lags by more than anybody waits for.
WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rereading:
    """
    Reads a job for an intent, again and again while the answers are older than what the *view* knows.
    """

    view: View
    clock: Clock

    async def read(self, intent: Intent, target: Target, *, lane: Lane) -> Job:
        """
        Read the job of an intent once, with new credentials if the ones that are held are refused.

        Raises the ``TargetError`` tree; ``Refused`` if the target is another project now.
        """
        wanted, rank = intent.draft.key, intent.draft.deadline_ms if lane is Lane.CHECK else 0
        try:
            job = await target.source.read(wanted.job_id, lane=lane, rank=rank)
        except Unauthorized:
            await target.source.renew()
            job = await target.source.read(wanted.job_id, lane=lane, rank=rank)
        if job.key != wanted:
            raise Refused(f"target {target.name} is now another project: wanted job {wanted}, got {job.key}")
        return job

    async def newest(self, intent: Intent, target: Target) -> Job | Closing:
        """
        Return the job as it is now, or the end of the intent if every answer is older than what is known.

        Raises the ``TargetError`` tree.
        """
        for pause in (*WAITS_S, None):
            read = await self._once(intent, target)
            if not read.outdated and (not read.otherwise or pause is None):
                return read.job
            if pause is not None:
                await self.clock.sleep(pause)
        note = f"the job was not read anew, nothing was done: the answer is older than what is known: {read.outdated}"
        return Closing(outcome=Outcome.FAILED, note=note)

    async def _once(self, intent: Intent, target: Target) -> "_Read":
        key, view = intent.draft.key, self.view
        known = view.seen(key)
        job = await self.read(intent, target, lane=Lane.CHECK)
        against = outdated(view.seen(key), job)
        if known is not None and job.read_at_ms < known.last_seen_ms:
            # What was known before the job was asked for is older than the answer, also if the clock was set back since.
            job = replace(job, read_at_ms=known.last_seen_ms)
            against = against or outdated(known, job)
        there = view.watched.get(key)
        if against or there is None or job.phase not in TERMINABLE_PHASES:
            return _Read(job=job, outdated=against)
        # What was read by another way, before or meanwhile, may be newer than this, and nobody can tell.
        other = view.judge(there.job, now_ms=target.source.now_ms(), naming=intent.draft.policy)
        return _Read(job=job, otherwise=objection(intent, other) is not None and not too_early_ms(intent, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """
    A reading, how it contradicts what is known by a newer state, and whether another reading speaks against the act.
    """

    job: Job
    outdated: str = ""
    otherwise: bool = False
