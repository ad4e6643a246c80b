"""
The deadline queue: which job has to be decided on again, and at which moment.

Only the moments that come next are kept in order, on a heap; later ones lie in unordered buckets of ``BUCKET_MS``. A job
whose moment moves within its bucket, as those of running jobs do with every walk, costs one write and no memory.
"""

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from guard.core.facts import JobKey

BUCKET_MS = 1 << 17
SPARE = 64


@dataclass(slots=True)
class Deadlines:
    """
    Moments in milliseconds of service time, at most one per job; ``changed`` wakes whoever waits for the next.

    *_wanted* has the moments. What else stands on the heap, or in a bucket that its moment does not lie in, was left behind
    when a moment moved or went.
    """

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: dict[JobKey, int] = field(default_factory=dict)
    _heap: list[tuple[int, JobKey]] = field(default_factory=list)
    _ordered_to: int = -1
    _buckets: dict[int, list[JobKey]] = field(default_factory=dict)
    _numbers: list[int] = field(default_factory=list)
    _entries: int = 0

    def put(self, key: JobKey, at_ms: int | None) -> None:
        """
        Set the moment of a job, replacing an earlier one; None takes the job off the queue.
        """
        before = self._wanted.get(key)
        if before == at_ms:
            return
        if at_ms is None:
            del self._wanted[key]
            return
        self._wanted[key] = at_ms
        number = at_ms // BUCKET_MS
        if number <= self._ordered_to or before is None or before // BUCKET_MS != number:
            self._enter(number, key, at_ms)
        self.changed.set()

    def hasten(self, key: JobKey, at_ms: int) -> bool:
        """
        Bring the moment of a job forward; False if the job is not on the queue.
        """
        before = self._wanted.get(key)
        if before is None:
            return False
        self.put(key, min(before, at_ms))
        return True

    def next_ms(self) -> int | None:
        """
        Return the earliest moment on the queue.
        """
        while True:
            while self._heap and self._wanted.get(self._heap[0][1]) != self._heap[0][0]:
                heapq.heappop(self._heap)
                self._entries -= 1
            if self._heap:
                return self._heap[0][0]
            if not self._numbers:
                return None
            self._order_next()

    def take_due(self, now_ms: int) -> Sequence[JobKey]:
        """
        Take the jobs off the queue whose moment has come, oldest first.
        """
        due = []
        while (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            key = heapq.heappop(self._heap)[1]
            self._entries -= 1
            del self._wanted[key]
            due.append(key)
        return due

    def clear(self) -> None:
        """
        Take every job off the queue.
        """
        self._wanted.clear()
        self._begin_anew()

    def __len__(self) -> int:
        return len(self._wanted)

    def _enter(self, number: int, key: JobKey, at_ms: int) -> None:
        self._entries += 1
        if self._entries > 2 * len(self._wanted) + SPARE:
            self._begin_anew()
        elif number <= self._ordered_to:
            heapq.heappush(self._heap, (at_ms, key))
        elif number in self._buckets:
            self._buckets[number].append(key)
        else:
            self._buckets[number] = [key]
            heapq.heappush(self._numbers, number)

    def _order_next(self) -> None:
        """
        Put the moments of the earliest bucket on the heap, which is empty.
        """
        self._ordered_to = heapq.heappop(self._numbers)
        left = self._buckets.pop(self._ordered_to)
        inside = {key: at_ms for key in left if (at_ms := self._wanted.get(key)) is not None}
        self._heap = [(at_ms, key) for key, at_ms in inside.items() if at_ms // BUCKET_MS == self._ordered_to]
        heapq.heapify(self._heap)
        self._entries -= len(left) - len(self._heap)

    def _begin_anew(self) -> None:
        """
        Leave nothing behind.
        """
        self._heap, self._buckets, self._ordered_to = [], {}, -1
        for key, at_ms in self._wanted.items():
            self._buckets.setdefault(at_ms // BUCKET_MS, []).append(key)
        self._numbers = sorted(self._buckets)
        self._entries = len(self._wanted)
