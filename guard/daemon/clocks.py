"""
The clocks: real time, and time sped up for the demo and the soak.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_AWAKE = getattr(time, "CLOCK_BOOTTIME", None)


@dataclass(frozen=True, slots=True)
class RealClock:
    """
    The time of this machine.
    """

    def now(self) -> float:
        """
        Return the seconds since 1970 (UTC).
        """
        return time.time()

    def monotonic(self) -> float:
        """
        Return seconds that never step, and that go on while the machine sleeps, where the system has such a clock.
        """
        return time.monotonic() if _AWAKE is None else time.clock_gettime(_AWAKE)

    async def sleep(self, seconds: float) -> None:
        """
        Wait for so many seconds.
        """
        await asyncio.sleep(seconds)

    def instant(self, at: float) -> datetime:
        """
        Return *at* as a date.
        """
        return datetime.fromtimestamp(at, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledClock:
    """
    Time that runs *speed* times as fast from the moment of its making on.
    """

    speed: float
    origin: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """
        Return the sped-up seconds since 1970 (UTC).
        """
        return self.origin + self.monotonic()

    def monotonic(self) -> float:
        """
        Return sped-up seconds that never step.
        """
        return (time.monotonic() - self.started) * self.speed

    async def sleep(self, seconds: float) -> None:
        """
        Wait for so many sped-up seconds.
        """
        await asyncio.sleep(seconds / self.speed)

    def instant(self, at: float) -> datetime:
        """
        Return the real instant at which this clock will say *at*.
        """
        return datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=(at - self.now()) / self.speed)
