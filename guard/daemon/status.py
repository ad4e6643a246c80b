"""
How the running guard is, gathered for ``/statusz``: what is in memory, and one reading of the ledger, which may fail.

Asking takes nothing from the deadlines: whoever asks within a second gets the same answer, and a ledger that hangs is waited
for only briefly and never asked twice at once.
"""

import asyncio
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from guard import __version__
from guard.core.breaker import Breaker
from guard.core.hold import Hold
from guard.core.policy import Mode, PolicySet
from guard.daemon.cycle import Cycle
from guard.daemon.followed import Followed
from guard.daemon.gate import DISARMED, clock_hold
from guard.daemon.service import Service
from guard.daemon.targets import Target
from guard.ports.status import (
    BreakerStatus,
    FilesStatus,
    LedgerStatus,
    LimitStatus,
    Record,
    Status,
    TargetStatus,
    Versions,
    moment,
)

FRESH_S = 1.0
# Turns of the service that fail when the ledger does.
WRITING = frozenset({"heartbeat", "pause and lease"})
LEDGER_WAIT_S = 2.0
UNTOLD = frozenset({"first_enforce", "new_ledger", "limit"})
"""Why jobs wait that nothing else in a status shows."""
MOST_HELD = 5
SHOWN = 12
"""Digits of a digest that people compare."""


@dataclass(slots=True, kw_only=True)
class Telling:
    """
    Tells how a *service* is; *record* reads its ledger, which is waited for *wait_s* seconds.
    """

    service: Service
    record: Record
    wait_s: float = LEDGER_WAIT_S
    steady: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _started: float = field(init=False)
    _newest: tuple[float, Status] | None = None
    _asking: asyncio.Task[Status] | None = None
    _reading: asyncio.Task[tuple[LedgerStatus, Hold | None]] | None = None

    def __post_init__(self) -> None:
        self._began, self._started = self.steady(), self.service.clock.now()
        self.service.cycle.enforcer.metrics.ledger_usable.set_function(self.is_recording)

    def is_recording(self) -> bool:
        """
        Tell whether the newest writes to the ledger were taken: a heartbeat every few seconds, and whatever else there was.
        """
        service = self.service
        return service.cycle.drives.broken is None and not service.failing.keys() & WRITING

    async def __call__(self) -> Status:
        """
        Return a status that is at most a second old. A ledger that cannot be read is told in it.
        """
        if self._newest is not None and self.steady() - self._newest[0] < FRESH_S:
            return self._newest[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._gather(), name="status")
        return await asyncio.shield(self._asking)

    async def _gather(self) -> Status:
        record, closed = await self._recorded()
        # Nothing is awaited from here on, so the parts belong together.
        service, cycle, now = self.service, self.service.cycle, self.service.clock.now()
        book = cycle.view.terms.prices
        gate, armed = cycle.enforcer.gate, any(one.terminator is not None for one in cycle.targets.values())
        holds = (None if armed else DISARMED, closed, gate.steps.hold(gate.clock))
        held, stale = service.lease.held, cycle.planner.room.stale()
        status = Status(
            at=datetime.fromtimestamp(now, UTC),
            source="daemon",
            versions=versions(self.record.schema),
            ledger=record,
            targets=tuple(
                self._target(one, acting=held(one.name), hold=clock_hold(one) or stale.get(one.name))
                for one in cycle.targets.values()
            ),
            armed=armed,
            started=datetime.fromtimestamp(self._started, UTC),
            uptime_seconds=round(self.steady() - self._began, 3),
            closed=tuple(_said(one) for one in holds if one is not None),
            objections=tuple(service.ready()),
            notes=(*service.watch.notes(), *_held(cycle)),
            limits=_limits(cycle, record.used_in_window),
            breakers=opened(cycle.breakers.open),
            policies=_files(service.folder, _words(cycle.view.policies), service.watch.policies_at),
            prices=None
            if service.prices is None or book is None
            else _files(service.prices, f"{len(book.entries)} prices in {book.currency}", service.watch.prices_at),
        )
        self._newest = (self.steady(), status)
        return status

    async def _recorded(self) -> tuple[LedgerStatus, Hold | None]:
        """
        Return what the ledger says, and what closes the gate for every target.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="status-ledger")
        done, _ = await asyncio.wait({self._reading}, timeout=self.wait_s)
        if done:
            return self._reading.result()
        silent = f"ledger {self.record.name} has not answered for {self.wait_s:g} s"
        return LedgerStatus(name=self.record.name, usable=False, error=silent), Hold(reason="ledger", text=silent)

    async def _read(self) -> tuple[LedgerStatus, Hold | None]:
        cycle = self.service.cycle
        room = cycle.planner.room
        moments = [one.source.now_ms() for one in cycle.targets.values()]
        since_ms = None if room.limits is None else room.since(max(moments, default=0))
        record = await self.record(since_ms)
        return record, await cycle.enforcer.gate.closed_for_all()

    def _target(self, target: Target, *, acting: bool, hold: Hold | None) -> TargetStatus:
        cycle, health, source = self.service.cycle, self.service.health[target.name], target.source
        queue, tally = cycle.deadlines[target.name], cycle.view.tally(target.name)
        complete = cycle.view.complete.get(target.name)
        offset, ours = source.offset_s(), target.name in cycle.active
        return TargetStatus(
            target=target.name,
            health="unknown" if not ours else "failing" if health.error else "ok" if health.read else "not read yet",
            error=health.error,
            last_complete_walk=moment(complete.finished_at_ms) if complete else None,
            last_look=moment(health.looked_ms) if health.looked_ms else None,
            jobs=sum(tally.users.values()),
            queued=len(queue),
            next_deadline=moment(queue.next_ms()),
            clock_offset_seconds=None if offset is None else round(offset, 3),
            acting=acting,
            closed="" if hold is None else _said(hold) if ours else "another replica acts on it",
        )


def opened(breakers: Iterable[Breaker]) -> tuple[BreakerStatus, ...]:
    """
    Return what open breakers say.
    """
    return tuple(
        BreakerStatus(scope=f"{one.scope.value} {one.name}".rstrip(), open=True, reason=one.text, until=moment(one.until_ms))
        for one in breakers
    )


def versions(schema: str) -> Versions:
    """
    Return what runs here.
    """
    return Versions(guard=__version__, schema=schema, python=platform.python_version())


def encoded(status: Status) -> bytes:
    """
    Return a status as JSON in UTF-8; what has no UTF-8 (half a character in the name of a job) becomes a question mark.
    """
    try:
        return msgspec.json.encode(status)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(status), ensure_ascii=False)
        return text.encode("utf-8", "replace")


def _said(hold: Hold) -> str:
    return f"{hold.reason}: {hold.text}"


def _held(cycle: Cycle) -> Iterator[str]:
    """
    Yield who waits for what no other line of a status tells, one sentence for each policy and reason.
    """
    waiting = [one for several in cycle.held.values() for one in several if one.reason in UNTOLD]
    counts, texts = (
        Counter((one.policy, one.reason) for one in waiting),
        {(one.policy, one.reason): one.text for one in waiting},
    )
    for (policy, reason), count in counts.most_common(MOST_HELD):
        jobs = "1 job is" if count == 1 else f"{count} jobs are"
        yield f"{jobs} held back of policy {policy}: {reason}: {texts[policy, reason]}"


def _limits(cycle: Cycle, used: int | None) -> tuple[LimitStatus, ...] | None:
    room = cycle.planner.room
    if room.limits is None:
        return None
    window_s = room.limits.window_ms / 1000
    return tuple(
        LimitStatus(limit=limit, used=used, allowed=allowed, window_seconds=window_s)
        for limit, allowed in room.allowed().items()
    )


def _words(policies: PolicySet) -> str:
    counts = [(sum(one.mode is mode for one in policies.policies), f"in {mode.value}") for mode in Mode]
    counts.append((len(policies.exemptions), "exemptions"))
    return ", ".join(f"{count} {what}" for count, what in counts)


def _files(files: Followed[Any], holds: str, taken_at: float) -> FilesStatus:
    taken = datetime.fromtimestamp(taken_at, UTC) if taken_at else None
    return FilesStatus(digest=files.taken[:SHOWN], holds=holds, taken=taken, note=files.error)
