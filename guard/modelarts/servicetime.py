"""
The service's clock, as its answers tell it.
"""

import bisect
from collections import deque

from guard.modelarts.answers import http_date
from guard.modelarts.exchange import Received
from guard.ports import Clock

# Answers among which the median is taken, and what cutting to whole seconds makes them differ by.
SAMPLES = 60
CUT_S = 1.0
# By so much the clocks of a service's machines may differ; what is older was kept by a cache.
STORED_S = 5.0
# What took longer to answer was perhaps read by the service as long ago, and is no reading that a kill may rest on.
LATE_S = 5.0
# For so long the answer that says most is remembered; two clocks drift apart by less than a millisecond or so meanwhile.
SPAN_S = 60.0


class ServiceTime:
    """
    The service's clock, from the ``Date`` of its newest answers, carried on by a clock that never steps.

    A Date is cut to whole seconds and older than its answer, so each answer says that the service's clock is at least at
    its Date when it is received. The median tells which answers agree; of those the one that says most counts, which is one
    that came right after a second began. So ``now`` never runs ahead of the service, lags by less the more answers there
    are, and no single wrong Date moves it. A step of this machine's clock moves ``offset_s`` at once and ``now`` not at all.

    Answers that are late, because the service is slow or the process was stopped, make it lag until most are prompt again.
    If one says that it is much later, and most are so late that they do not deny it, nobody can tell, and the offset is not
    known.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # (base, seconds from the question to the answer), the oldest first.
        self._bases: deque[tuple[float, float]] = deque()
        self._late = 0
        # The same in order, so that an answer costs no sorting.
        self._ordered: list[float] = []
        # (received at, base) of answers of the last minute that no later one says more than: many calls within a second
        # push the one that came at its beginning out of the others, and with it the time would lag by up to a second.
        self._most: deque[tuple[float, float]] = deque()
        self._base: float | None = None
        self._disputed = False
        self._read: tuple[str, float | None] = ("", None)

    def note(self, received: Received) -> None:
        """
        Take in the Date of an answer.
        """
        text = received.response.headers.get("date", "")
        if text != self._read[0]:
            # Many answers bear the same second.
            self._read = (text, http_date(text))
        date = self._read[1]
        if date is None:
            return
        base, most = date - received.received_at, self._most
        took_s = received.received_at - received.sent_at
        self._bases.append((base, took_s))
        self._late += took_s > LATE_S
        bisect.insort(self._ordered, base)
        if len(self._bases) > SAMPLES:
            oldest, its_s = self._bases.popleft()
            self._late -= its_s > LATE_S
            del self._ordered[bisect.bisect_left(self._ordered, oldest)]
        half = len(self._ordered) // 2
        greatest = (self._ordered[half] + self._ordered[-1 - half]) / 2 + CUT_S
        if base <= greatest:
            while most and most[-1][1] <= base:
                most.pop()
            most.append((received.received_at, base))
        while most and (most[0][1] > greatest or most[0][0] < received.received_at - SPAN_S):
            most.popleft()
        agreed = self._ordered[bisect.bisect_right(self._ordered, greatest) - 1]
        self._base = max(agreed, most[0][1]) if most else agreed
        self._disputed = self._late > 0 and self._may_be_later(self._base + STORED_S)

    def _may_be_later(self, than: float) -> bool:
        """
        Tell whether an answer puts the service's clock beyond *than*, and most answers allow what it says.
        """
        beyond = self._ordered[bisect.bisect_right(self._ordered, than) :]
        half = len(self._bases) / 2
        return any(sum(low <= one <= low + took + CUT_S for low, took in self._bases) > half for one in beyond)

    def stored_for_s(self, received: Received) -> float | None:
        """
        Return how many seconds before its question an answer is dated, if that is too many for two clocks of the service.

        Such an answer was kept by somebody on the way, and shows what was. None before the first answer.
        """
        text = received.response.headers.get("date", "")
        date = self._read[1] if text == self._read[0] else http_date(text)
        if date is None or self._base is None:
            return None
        age_s = self.at(received.sent_at) - (date + CUT_S)
        return age_s if age_s > STORED_S else None

    def offset_s(self) -> float | None:
        """
        Return service time minus local time in seconds; None before the first answer, and while late ones leave it open.
        """
        return None if self._base is None or self._disputed else self.now() - self._clock.now()

    def now(self) -> float:
        """
        Return the service's epoch seconds; local ones before the first answer.
        """
        return self.at(self._clock.monotonic())

    def at(self, monotonic_s: float) -> float:
        """
        Return the service's epoch seconds at a moment of the clock that never steps, by what is known now.
        """
        if self._base is None:
            return self._clock.now() + monotonic_s - self._clock.monotonic()
        return monotonic_s + self._base
