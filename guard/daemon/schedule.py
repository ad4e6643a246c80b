"""
What begins a turn: by APScheduler the walks and looks at every target, and the earliest deadline of each.

A deadline lies in service time and is waited for on the event loop's clock that never steps. Its date job does nothing but
wake whoever decides, so that it can never overlap with itself; once a second it is set anew if the clocks moved. What is
due within a second has a plain timer of the event loop: where hundreds of deadlines lie in one second, to set a date job
anew for each takes time that the terminations need.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from guard.daemon.deadlines import Deadlines
from guard.daemon.metrics import Metrics
from guard.daemon.targets import Target
from guard.ports import Clock

# A date job that is off by less is left as it is.
EXACT_S = 0.002
# Only a clock that is sped up asks for more; a turn that is due while the one before it goes on is left out, and told of.
SHORTEST_S = 0.5
# What is due within so many real seconds is waited for without the scheduler.
NEAR_S = 1.0
# No date lies further ahead: a deadline may be beyond the last year that there is, and is looked at again until then.
LONGEST_S = 86_400.0
# What the scheduler itself logs of the events below, which are told as lines of the guard's own log.
_AGAIN = "maximum number of running instances"
_EVENTS = {EVENT_JOB_ERROR: "error", EVENT_JOB_MISSED: "missed", EVENT_JOB_MAX_INSTANCES: "max_instances"}

log = structlog.get_logger("guard")
Turn = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """
    How often a target is walked completely, and looked at for new jobs, in seconds of the guard's clock.
    """

    walk_s: float
    scan_s: float


@dataclass(slots=True, kw_only=True)
class Schedule:
    """
    The scheduler of one daemon, which is started with ``start``.
    """

    clock: Clock
    metrics: Metrics
    _scheduler: AsyncIOScheduler = field(init=False)
    _armed: dict[str, datetime] = field(default_factory=dict)
    _near: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A late run is better than none, many late ones are one, and a turn that still goes on is not begun again.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(job_defaults=defaults, timezone="UTC")
        logging.getLogger("apscheduler.scheduler").addFilter(_is_news)
        self._scheduler.add_listener(self._happened, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def every(self, what: str, target: Target, turn: Turn, *, seconds: float, at_once: bool) -> None:
        """
        Begin a turn on a target every so often, the first one now or after one interval.
        """
        now = self.clock.now()
        first = self.clock.instant(now if at_once else now + seconds)
        real_s = (self.clock.instant(now + seconds) - self.clock.instant(now)).total_seconds()
        self._scheduler.add_job(
            turn,
            IntervalTrigger(seconds=max(SHORTEST_S, real_s)),
            args=[target],
            id=f"{what} of {target.name}",
            next_run_time=first,
        )

    def start(self) -> None:
        """
        Begin.
        """
        self._scheduler.start()

    def stop(self) -> None:
        """
        Begin nothing any more; what was begun goes on.
        """
        self._scheduler.shutdown(wait=False)
        for name in list(self._near):
            self._near.pop(name).cancel()

    def arm(self, target: Target, queue: Deadlines) -> None:
        """
        See to it that the queue's ``changed`` is set when its earliest moment has come.
        """
        name = f"deadline of {target.name}"
        next_ms = queue.next_ms()
        if (near := self._near.pop(target.name, None)) is not None:
            near.cancel()
        if next_ms is None:
            if self._armed.pop(target.name, None) is not None and self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)
            return
        left_s = (next_ms - target.source.now_ms()) / 1000
        if left_s <= 0:
            queue.changed.set()
            return
        now = self.clock.now()
        at, armed = self.clock.instant(now + min(left_s, LONGEST_S)), self._armed.get(target.name)
        real_s = (at - self.clock.instant(now)).total_seconds()
        if real_s <= NEAR_S:
            self._near[target.name] = asyncio.get_running_loop().call_later(real_s, queue.changed.set)
            return
        if armed is not None and left_s > LONGEST_S and armed <= at:
            return
        if armed is None or abs((at - armed).total_seconds()) > EXACT_S:
            self._armed[target.name] = at
            self._scheduler.add_job(
                self._ring, DateTrigger(run_date=at), args=[target.name, queue], id=name, replace_existing=True
            )

    def forget(self, target: Target) -> None:
        """
        Begin nothing on a target any more; what was begun goes on.
        """
        self._armed.pop(target.name, None)
        if (near := self._near.pop(target.name, None)) is not None:
            near.cancel()
        for job in self._scheduler.get_jobs():
            if job.id.endswith(f" of {target.name}"):
                job.remove()

    def armed(self, target: Target) -> datetime | None:
        """
        Return the real moment at which the earliest deadline of a target rings, or None.
        """
        return self._armed.get(target.name)

    async def _ring(self, name: str, queue: Deadlines) -> None:
        self._armed.pop(name, None)
        queue.changed.set()

    def _happened(self, event: JobExecutionEvent) -> None:
        name = _EVENTS[event.code]
        self.metrics.scheduler_events.labels(name).inc()
        error = getattr(event, "exception", None)
        log.error("scheduler.troubled", event_name=name, turn=event.job_id, error=str(error) if error else "")


def _is_news(record: logging.LogRecord) -> bool:
    return _AGAIN not in str(record.msg)
