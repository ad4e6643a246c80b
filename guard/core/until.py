"""
The end of an exemption and the beginning of a price: a bare date in the setting's time zone, or a timestamp that names
its offset.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from guard.core.spans import DAY_MS, MINUTE_MS

EXPECTED = "expected a date such as 2026-12-31 or a timestamp with its offset such as 2026-12-31T18:00:00Z"

DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = f"({DATE})[Tt ]([0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}})(?:\\.([0-9]+))?"
OFFSET = "([Zz]|([-+])([01][0-9]|2[0-3]):([0-5][0-9]))"
"""The expressions that a date, a moment on it and the offset that must follow the moment fit as a whole."""

_DATE = re.compile(DATE)
_TIMESTAMP = re.compile(f"{MOMENT}{OFFSET}?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def parse_since(text: str, *, zone: tzinfo) -> int:
    """
    Return the millisecond from which something counts: the start of a date's day in *zone*, or the timestamp.

    Raises ValueError that says what was expected.
    """
    if _DATE.fullmatch(text):
        return (datetime.combine(_existing(text).date(), time(), tzinfo=zone) - _EPOCH) // _MILLISECOND
    return parse_until(text, zone=zone)


def parse_until(text: str, *, zone: tzinfo) -> int:
    """
    Return the first millisecond after *until*: the start of the day that follows a date in *zone*, or the timestamp.

    Raises ValueError that says what was expected.
    """
    if _DATE.fullmatch(text):
        return _end_of_day(_existing(text).date(), zone)
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError(EXPECTED)
    day, clock, fraction, offset, sign, hours, minutes = found.groups()
    if offset is None:
        raise ValueError("expected a timestamp with its offset such as 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+08:00")
    written_ms = (_existing(f"{day}T{clock}") - _EPOCH) // _MILLISECOND + int(f"{fraction or ''}000"[:3])
    # Whole numbers, because with its offset a timestamp of the year 1 or 9999 may leave the range of datetime.
    ahead_ms = (int(hours) * 60 + int(minutes)) * MINUTE_MS if sign else 0
    return written_ms + ahead_ms if sign == "-" else written_ms - ahead_ms


def _existing(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as wrong:
        raise ValueError(f"there is no such date or time ({wrong})") from wrong


def _end_of_day(day: date, zone: tzinfo) -> int:
    # Midnight of the next day by the wall clock, not 24 h later: days with a change of the clocks have 23 h or 25 h.
    last = day == date.max
    midnight = datetime.combine(day if last else day + timedelta(days=1), time(), tzinfo=zone)
    return (midnight - _EPOCH) // _MILLISECOND + (DAY_MS if last else 0)
