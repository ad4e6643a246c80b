"""
One reading for all who ask at the same time, each of whom gets one that was begun after the question.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedRead(Generic[T]):
    """
    Reads with *read*, one reading at a time: whoever asks while one is on its way shares the next with all who ask by then.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._next: asyncio.Task[T] | None = None
        self._running: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """
        Return what a reading says that begins after this moment; raises what it raises.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
            # If nobody waits for it any more, nobody needs its failure either.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def _after(self, earlier: asyncio.Task[T] | None) -> T:
        if earlier is not None and not earlier.done():
            await asyncio.wait({earlier})
        self._running, self._next = self._next, None
        return await self._read()
