"""
Windows of a list that are asked for before the one before them has come, and are handed out in the order of the asking.

Nothing in here knows what a window should hold; that its place was guessed right is proved by ``paging``.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
Item = tuple[str | None, T | None]
Fetch = Callable[[int, int], Awaitable[Sequence[Item[T]]]]


class Window(NamedTuple):
    """
    What is asked for: *offset* and *limit* as the service is told, and the place *first* that the window should begin at.
    """

    offset: int
    limit: int
    first: int

    @property
    def end(self) -> int:
        """
        The place after the last one of a full window.
        """
        return self.first + self.limit


class Ahead(Generic[T]):
    """
    The requests in flight, oldest first; *asked* counts all that were ever sent.
    """

    def __init__(self, fetch: Fetch[T]) -> None:
        self._fetch = fetch
        self._flight: deque[tuple[Window, asyncio.Task[Sequence[Item[T]]]]] = deque()
        self.asked = 0

    def __len__(self) -> int:
        return len(self._flight)

    def ask(self, window: Window) -> None:
        """
        Send the request of a window.
        """
        self.asked += 1
        self._flight.append((window, asyncio.ensure_future(self._fetch(window.offset, window.limit))))

    async def next(self) -> tuple[Window, Sequence[Item[T]]]:
        """
        Wait for the oldest request; a failure of it is raised here, and one of a window that is never asked for is not.
        """
        window, answer = self._flight[0]
        items = await answer
        self._flight.popleft()
        return window, items

    async def drop(self) -> None:
        """
        Cancel what is in flight, and return when nothing of it runs any more.
        """
        dropped = [answer for _, answer in self._flight]
        self._flight.clear()
        for answer in dropped:
            answer.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)
