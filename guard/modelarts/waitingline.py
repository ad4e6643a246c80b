"""
Those who wait for a turn in one lane: by rank, then first come. Whoever is cancelled goes without a search.
"""

import asyncio
import heapq

# Waiters that were cancelled stay in a line until they are more than half of it, and so many.
FEW = 16


class Line:
    """
    Futures in the order in which they are to be served; one that is done while it stands here was cancelled.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, asyncio.Future[int]]] = []
        self._joined = 0
        self._gone = 0

    def join(self, rank: int, came: asyncio.Future[int]) -> None:
        """
        Put somebody in: before all of a greater rank, behind those of the same.
        """
        self._joined += 1
        heapq.heappush(self._heap, (rank, self._joined, came))

    def empty(self) -> bool:
        """
        Tell whether nobody waits.
        """
        while self._heap and self._heap[0][2].done():
            heapq.heappop(self._heap)
            self._gone -= 1
        return not self._heap

    def next(self) -> asyncio.Future[int]:
        """
        Take out who is next; only after ``empty`` said that there is somebody.
        """
        return heapq.heappop(self._heap)[2]

    def left(self) -> None:
        """
        Take in that somebody was cancelled; they are cleared out in one go, so that each costs next to nothing.
        """
        self._gone += 1
        if self._gone > FEW and self._gone * 2 > len(self._heap):
            self._heap = [each for each in self._heap if not each[2].done()]
            heapq.heapify(self._heap)
            self._gone = 0
