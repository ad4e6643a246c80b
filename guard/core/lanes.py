"""
What a call to a target is for, and the right to send one. When that right comes is for the pace of the target to say.
"""

import enum
from dataclasses import dataclass


class Lane(enum.IntEnum):
    """
    What a call is for, the most urgent first; the first two are kills.

    A terminate call goes before the re-reads of other kills, because the reading that it rests on grows old meanwhile.
    """

    TERMINATE = 0
    CHECK = 1
    """The reading right before a kill."""
    CONFIRM = 2
    """A reading that only waits for a job's end."""
    DISCOVERY = 3
    """Lists and looks: whatever finds jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    The right to send one request: the *number*-th of its target, which took *waited_s* seconds to come.
    """

    number: int
    waited_s: float = 0.0
