"""
The heart of a replica: it beats, looks whether the others' do, and has tenures begin and end as leases come and go.

Each of the three has a loop of its own. A lease lasts for seconds after a beat, and to take over a hundred targets, or a
queue of reads before the look at the others, may take as long.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from guard.daemon.cycle import Cycle
from guard.daemon.lettinggo import look_elsewhere
from guard.daemon.tenure import Attempt
from guard.daemon.tenures import Tenures
from guard.ports import Lease

TICK_S = 1.0
# A heart that stopped is noticed so much later than it could be, and nobody serves its targets meanwhile.
LOOK_S = 0.5

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Heart:
    """
    Beats every *every_s* seconds, sooner if something about the other replicas changed; *attempt* reports into *failing*.
    """

    cycle: Cycle
    lease: Lease
    tenures: Tenures
    attempt: Attempt
    failing: dict[str, str]
    every_s: float = 5.0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)
    _turned: dict[str, float] = field(default_factory=dict)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """
        Return what has to run for as long as the process acts.
        """
        self._turned = dict.fromkeys(("beat", "others", "tenures"), _now_s())
        return [self.beat_forever(), self.watch_forever(), self.follow_forever()]

    def silent_s(self) -> float:
        """
        Return since when, in seconds, the loop that is furthest behind has made no turn.
        """
        return _now_s() - min(self._turned.values(), default=_now_s())

    async def beat_forever(self) -> None:
        """
        Beat whenever it is time to. One that failed is made up for at the next tick.
        """
        # Not at once: of replicas that start together, each is to know the others before it takes anything.
        beaten = _now_s() - self.every_s / 2
        while True:
            now = self._turned["beat"] = _now_s()
            if self.is_hurried() or now - beaten >= self.every_s:
                await self.attempt("heartbeat", self.beat())
                beaten = beaten if "heartbeat" in self.failing else now
            await _set_within(self._hurried, TICK_S)

    async def watch_forever(self) -> None:
        """
        Look at the other replicas twice a second.
        """
        while True:
            self._turned["others"] = _now_s()
            await self.attempt("replicas", self.look_at_others())
            await asyncio.sleep(LOOK_S)

    async def follow_forever(self) -> None:
        """
        Begin and end tenures after every beat.
        """
        while True:
            self._turned["tenures"] = _now_s()
            if self._moved.is_set():
                self._moved.clear()
                await self.attempt("tenures", self.follow())
            await _set_within(self._moved, TICK_S)

    async def beat(self) -> None:
        """
        Renew the leases, or join anew if others took this process for dead. Raises ``LedgerUnusable``.
        """
        try:
            if not await self.lease.renew():
                log.error("lease.lost")
                await self.lease.acquire()
        finally:
            self._moved.set()

    async def look_at_others(self) -> None:
        """
        Look at the other replicas, and have the next beat come at once if something about them changed.
        """
        if await self.lease.watch():
            self._hurried.set()

    def is_hurried(self) -> bool:
        """
        Tell whether a beat is to come at once, and that only once.
        """
        hurried = self._hurried.is_set()
        self._hurried.clear()
        return hurried

    async def follow(self) -> None:
        """
        Begin and end tenures by the leases as they are now.
        """
        await self.tenures.follow()
        await look_elsewhere(self.cycle)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
