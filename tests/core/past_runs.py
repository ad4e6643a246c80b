"""
Past runs as values, with as little said as a test needs.
"""

from fractions import Fraction
from typing import Any

from built import NOW, P100

from guard.core.estimate import Stopped
from guard.core.likeness import End, Likeness, PastRun
from guard.core.spans import HOUR_MS
from tests.changing import replace

LIKE = Likeness(user="ann", stem="train", billing_codes=P100, cards=32)
STOPPED = Stopped(like=LIKE, elapsed_ms=24 * HOUR_MS, per_hour=Fraction(10), currency="CNY")


def run(hours: float, end: End = End.OWN, **changes: Any) -> PastRun:
    """
    Return a run like the others that ended at NOW after so many hours.
    """
    exit_ms = round(hours * HOUR_MS)
    return replace(PastRun(like=LIKE, entry_ms=0, exit_ms=exit_ms, exit_at_ms=NOW, end=end), **changes)


def lasting(*hours: float, end: End = End.OWN, **changes: Any) -> list[PastRun]:
    """
    Return a run for each of so many hours.
    """
    return [run(one, end, **changes) for one in hours]
