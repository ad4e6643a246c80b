"""
What is kept of each job that is watched, in as few bytes as it takes, and the sums over all of them.
"""

from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeVar

import msgspec

from guard.core.facts import Job, Missing, Resource, Text
from guard.core.fields import total_cards
from guard.core.limits import Fleet
from guard.core.sighting import Sighting
from guard.core.spans import MINUTE_MS
from guard.core.spend import resources_now

# A record says the time of a job that only ran on as well as its newest reading does, but none gets old.
REFRESH_MS = 30 * MINUTE_MS
DRIFT_MS = 2_000

What = TypeVar("What")
Shape = tuple[Text, Text, tuple[Resource, ...]]
"""Phase, pool and resources: what a job adds to the sums. Few of them occur."""

_FACTS = attrgetter(
    *(name for name in Job.__struct_fields__ if name not in ("read_at_ms", "duration_ms", "resources")), "resources"
)
_MEMORY = attrgetter(
    *(name for name in Sighting.__struct_fields__ if name not in ("last_seen_ms", "reading_ms", "reading_at_ms"))
)


class Watched(msgspec.Struct, gc=False):
    """
    One watched job: its newest reading and memory, and what the policies said of it at *at_ms*.

    *matches* and *unknown* are policies as bits by their index, *wake_ms* is when that may change by time alone. *walk* is
    the number of the walk that read it last. *recalled* as long as only the ledger told of it. *kept_ms* is when what is on
    record was seen, -1 if nothing is; *drift_ms* how far the job's clock has moved since against the one on record.
    """

    job: Job
    seen: Sighting
    matches: int
    unknown: int
    wake_ms: int | None
    at_ms: int
    walk: int = 0
    kept_ms: int = -1
    drift_ms: int = 0
    disputed: bool = False
    recalled: bool = False

    @property
    def shape(self) -> Shape:
        """
        What the job adds to the sums.
        """
        return shape_of(self.job)

    def keep(self, seen: Sighting) -> None:
        """
        Note that the reading which led to this memory is on record.
        """
        self.kept_ms, self.drift_ms = seen.last_seen_ms, 0

    def is_told_by_record(self, job: Job, seen: Sighting) -> bool:
        """
        Tell whether what is on record says the same as a reading that comes after the present one.

        The renewal of the records is spread over half of the time, by when the jobs were first seen.
        """
        age_ms = REFRESH_MS // 2 + hash(job.key.job_id) % (REFRESH_MS // 2)
        if not (0 <= self.kept_ms <= seen.last_seen_ms < self.kept_ms + age_ms):
            return False
        before, now = self.job.duration_ms, job.duration_ms
        ticks = not isinstance(before, Missing) and not isinstance(now, Missing) and before > 0 and now > 0
        return (
            (ticks or before == now)
            and (self.seen.reading_ms is None) == (seen.reading_ms is None)
            and abs(self.drift_ms + clock_of(seen) - clock_of(self.seen)) <= DRIFT_MS
            and _FACTS(self.job) == _FACTS(job)
            and _MEMORY(self.seen) == _MEMORY(seen)
        )


def shape_of(job: Job) -> Shape:
    """
    Return what a job adds to the sums.
    """
    return (job.phase, job.pool_id, resources_now(job) if job.node_counts else job.resources)


def clock_of(seen: Sighting) -> int:
    """
    Return where the duration of a job was 0 if it runs, else the reading itself; -1 if there is none.
    """
    if seen.reading_ms is None or seen.reading_at_ms is None:
        return -1
    return seen.reading_at_ms - seen.reading_ms if seen.phase == "Running" else seen.reading_ms


@dataclass(slots=True)
class Tally:
    """
    The sums over the watched jobs of one target, kept up to date with every reading.
    """

    shapes: Counter[Shape] = field(default_factory=Counter)
    users: Counter[Text] = field(default_factory=Counter)
    disputed: int = 0

    def add(self, one: Watched) -> None:
        """
        Count a job in.
        """
        self.shapes[one.shape] += 1
        self.users[one.job.user] += 1
        self.disputed += one.disputed

    def remove(self, one: Watched) -> None:
        """
        Count a job out.
        """
        less(self.shapes, one.shape)
        less(self.users, one.job.user)
        self.disputed -= one.disputed

    @property
    def running(self) -> int:
        """
        How many of the jobs are Running.
        """
        return sum(count for (phase, _, _), count in self.shapes.items() if phase == "Running")

    @property
    def fleet(self) -> Fleet:
        """
        What the limits that are a share of what runs are of.
        """
        pairs = [(total_cards(some), count) for (phase, _, some), count in self.shapes.items() if phase == "Running"]
        known = [(cards, count) for cards, count in pairs if not isinstance(cards, Missing)]
        largest = max((cards for cards, _ in known), default=0)
        return Fleet(running=self.running, cards=sum(cards * count for cards, count in known), largest=largest)

    @property
    def waiting(self) -> int:
        """
        How many of the jobs are Creating or Pending.
        """
        return sum(count for (phase, _, _), count in self.shapes.items() if phase in ("Creating", "Pending"))


def less(counts: Counter[What], what: What) -> None:
    """
    Count one less; what is not there any more leaves nothing behind.
    """
    counts[what] -= 1
    if counts[what] <= 0:
        del counts[what]
