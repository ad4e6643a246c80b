"""
An event loop whose time jumps to the next timer as soon as nothing is left to do, so that minutes of waiting pass at once.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")
ORIGIN = 1_764_000_000.0


class _Jumping(selectors.SelectSelector):
    """
    Waits for nothing: the time that it would have waited has passed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits for something that nobody will do")
        self.seconds += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.seconds


class VirtualClock:
    """
    The clock of such a loop; its monotonic seconds begin at 0.
    """

    def now(self) -> float:
        return ORIGIN + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def instant(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC)


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """
    Run *main* on such a loop.
    """
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
