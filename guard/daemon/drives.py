"""
The intents on their way to an outcome in this process, each in a task of its own, and what became of them.
"""

import asyncio
from collections.abc import Callable, Container
from dataclasses import dataclass, field

import structlog

from guard.core.facts import Job, JobKey
from guard.core.protocol import LAST
from guard.core.records import Intent
from guard.daemon.enforce import Enforcer
from guard.daemon.targets import Target
from guard.errors import LedgerUnusable

# A page that was read before the end of a job was recorded cannot come in later than this.
STALE_AFTER_MS = 10 * 60_000

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Drives:
    """
    Drives intents of the targets that are *active*, and calls *closed* with the job of each that got an outcome.

    *under_way* are those that have none yet, *settled* those that got theirs here, until somebody takes them over. *ended*
    says when the end of a job was recorded, whose older readings count no more. *broken* is set once the ledger failed under
    an intent, and *stopped* when the process ends: from then on nothing is driven.
    """

    enforcer: Enforcer
    active: set[str]
    closed: Callable[[JobKey], None]
    under_way: dict[JobKey, asyncio.Task[Intent]] = field(default_factory=dict)
    settled: list[Intent] = field(default_factory=list)
    ended: dict[JobKey, int] = field(default_factory=dict)
    broken: LedgerUnusable | None = None
    stopped: bool = False

    def is_of_ended_run(self, job: Job) -> bool:
        """
        Return whether a job was read before its end was recorded.
        """
        return job.read_at_ms <= self.ended.get(job.key, -1)

    def begin(self, intent: Intent, target: Target) -> None:
        """
        Drive an open intent, unless its target was let go meanwhile: whoever takes that finds the intent.
        """
        if self.stopped or target.name not in self.active:
            return
        task = asyncio.create_task(self.enforcer.drive(intent, target), name=f"intent-{intent.number} {target.name}")
        self.under_way[intent.draft.key] = task
        task.add_done_callback(lambda done: self._done(intent.draft.key, done))

    def of(self, name: str) -> list[asyncio.Task[Intent]]:
        """
        Return what is on its way in the target of that name.
        """
        return [task for task in self.under_way.values() if task.get_name().endswith(f" {name}")]

    def forget(self, watched: Container[JobKey]) -> None:
        """
        Forget the ends that no reading can be older than any more, of jobs that are not watched.
        """
        long_ago_ms = max(self.ended.values(), default=0) - STALE_AFTER_MS
        for key in [key for key, at_ms in self.ended.items() if key not in watched and at_ms < long_ago_ms]:
            del self.ended[key]

    def _done(self, key: JobKey, task: asyncio.Task[Intent]) -> None:
        if self.under_way.get(key) is task:
            del self.under_way[key]
            self.enforcer.precedence.end([key])
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            intent = task.result()
            self.settled.append(intent)
            if intent.outcome in LAST:
                self.ended[key] = intent.closed_ms or 0
            self.closed(key)
            return
        if isinstance(error, LedgerUnusable):
            self.broken = error
        log.error("termination.interrupted", job=key.job_id, error=str(error), kind=type(error).__name__)
