"""
Spans of time and exact numbers as people write and read them.
"""

import re
from fractions import Fraction

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNITS_MS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS}
SPAN = "(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?"
"""The expression that a whole span fits; the empty text fits it too and is no span."""

_SPAN = re.compile(SPAN)
_LOOSE_UNITS_MS = {"w": 7 * DAY_MS, **_UNITS_MS}
_LOOSE_PART = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([wdhms])(?:eeks?|ays?|ours?|rs?|inutes?|ins?|econds?|ecs?)?")
_LOOSE_PARTS = re.compile(f"(?:{_LOOSE_PART.pattern} ?){{1,5}}")


def parse_span(text: str) -> int | None:
    """
    Return the milliseconds of a span such as ``90s``, ``15m``, ``24h``, ``7d`` or ``1h30m``; None if it is not one.

    Units stand from the largest to the smallest, each at most once.
    """
    found = _SPAN.fullmatch(text)
    if found is None or not text:
        return None
    return sum(int(count) * _UNITS_MS[unit] for count, unit in zip(found.groups(), "dhms", strict=True) if count)


def guess_span(text: str) -> str:
    """
    Return the span that a text such as ``24 H``, ``1.5h``, ``2 weeks`` or ``30m1h`` may have meant; "" if it is none.
    """
    small = text.lower().removeprefix("pt")
    parts = _LOOSE_PART.findall(small) if _LOOSE_PARTS.fullmatch(small) else []
    span_ms = sum(Fraction(count) * _LOOSE_UNITS_MS[unit] for count, unit in parts)
    if not span_ms or span_ms % SECOND_MS:
        return ""
    if span_ms % DAY_MS == 0 and span_ms > DAY_MS:
        return f"{span_ms // DAY_MS}d"
    return format_span(int(span_ms))


def format_span(span_ms: int) -> str:
    """
    Return a span in the language of policy files, exact to the millisecond: ``25h``, ``1h0m0.001s``, ``-5m``.
    """
    sign, rest = ("-", -span_ms) if span_ms < 0 else ("", span_ms)
    hours, rest = divmod(rest, HOUR_MS)
    minutes, rest = divmod(rest, MINUTE_MS)
    seconds = f"{rest // SECOND_MS}.{rest % SECOND_MS:03d}".rstrip("0").rstrip(".") if rest else ""
    parts = f"{hours}h" if hours else ""
    parts += f"{minutes}m" if minutes or (hours and seconds) else ""
    parts += f"{seconds}s" if seconds else ""
    return sign + (parts or "0s")


def format_number(number: int | Fraction, *, places: int = 2) -> str:
    """
    Return a number rounded to *places* decimals, half to even, without trailing zeros.
    """
    if isinstance(number, int):
        return str(number)
    # Whole numbers throughout, because a hostile reading may have more digits than a Decimal's context allows.
    scaled = round(number * 10**places)
    whole, rest = divmod(abs(scaled), 10**places)
    decimals = f"{rest:0{places}d}".rstrip("0") if rest else ""
    return ("-" if scaled < 0 else "") + str(whole) + (f".{decimals}" if decimals else "")
