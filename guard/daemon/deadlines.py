"""
The deadline queue: which job has to be decided on again, and at which moment.
"""

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from guard.core.facts import JobKey

LONGEST_SLEEP_S = 30.0
SPARE = 64


@dataclass(slots=True)
class Deadlines:
    """
    A heap of moments (milliseconds of service time), at most one per job; ``changed`` wakes whoever waits for the next.
    """

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _heap: list[tuple[int, JobKey]] = field(default_factory=list)
    _wanted: dict[JobKey, int] = field(default_factory=dict)

    def put(self, key: JobKey, at_ms: int | None) -> None:
        """
        Set the moment of a job, replacing an earlier one; None takes the job off the queue.
        """
        if self._wanted.get(key) == at_ms:
            return
        if at_ms is None:
            self._wanted.pop(key, None)
            return
        self._wanted[key] = at_ms
        heapq.heappush(self._heap, (at_ms, key))
        if len(self._heap) > 2 * len(self._wanted) + SPARE:
            # A replaced moment stays on the heap until its turn, and the moments of running jobs move with every walk.
            self._heap = [(wanted_ms, one) for one, wanted_ms in self._wanted.items()]
            heapq.heapify(self._heap)
        self.changed.set()

    def next_ms(self) -> int | None:
        """
        Return the earliest moment on the queue.
        """
        while self._heap and self._wanted.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ms: int) -> Sequence[JobKey]:
        """
        Take the jobs off the queue whose moment has come, oldest first.
        """
        due = []
        while (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            key = heapq.heappop(self._heap)[1]
            del self._wanted[key]
            due.append(key)
        return due

    def __len__(self) -> int:
        return len(self._wanted)
