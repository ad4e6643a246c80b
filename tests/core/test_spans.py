"""
Spans and numbers, as they are written and as they are read.
"""

from fractions import Fraction

import pytest

from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, format_number, format_span, guess_span, parse_span


@pytest.mark.parametrize(
    ("text", "span_ms"),
    [
        pytest.param("90s", 90_000, id="seconds"),
        pytest.param("15m", 900_000, id="minutes"),
        pytest.param("24h", 86_400_000, id="hours"),
        pytest.param("7d", 604_800_000, id="days"),
        pytest.param("1h30m", 5_400_000, id="two-units"),
        pytest.param("1d2h3m4s", DAY_MS + 2 * HOUR_MS + 3 * MINUTE_MS + 4 * SECOND_MS, id="all-units"),
        pytest.param("0s", 0, id="zero"),
        pytest.param("999999999d", 999_999_999 * DAY_MS, id="nine-digits"),
        pytest.param("", None, id="empty"),
        pytest.param("24", None, id="bare-number"),
        pytest.param("30m1h", None, id="wrong-order"),
        pytest.param("1h1h", None, id="unit-twice"),
        pytest.param("1H", None, id="capital"),
        pytest.param("1 h", None, id="space"),
        pytest.param("24h\n", None, id="line-break"),
        pytest.param("1.5h", None, id="decimal"),
        pytest.param("-1h", None, id="negative"),
        pytest.param("1000000000d", None, id="ten-digits"),
        pytest.param("٣h", None, id="digits-of-another-script"),
    ],
)
def test_parse_span(text, span_ms):
    """
    A span is its units from the largest to the smallest, and nothing else is one.
    """
    assert parse_span(text) == span_ms


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        pytest.param(0, "0s", id="zero"),
        pytest.param(1, "0.001s", id="millisecond"),
        pytest.param(10_000, "10s", id="zeros-that-count"),
        pytest.param(1_500, "1.5s", id="zeros-that-do-not"),
        pytest.param(5 * MINUTE_MS, "5m", id="minutes"),
        pytest.param(25 * HOUR_MS, "25h", id="hours-beyond-a-day"),
        pytest.param(HOUR_MS + 1, "1h0m0.001s", id="hour-and-a-millisecond"),
        pytest.param(HOUR_MS + MINUTE_MS, "1h1m", id="hour-and-minute"),
        pytest.param(-5 * MINUTE_MS, "-5m", id="negative"),
    ],
)
def test_format_span(span_ms, text):
    """
    A span is shown exactly, without what is zero.
    """
    assert format_span(span_ms) == text


@pytest.mark.parametrize(
    ("number", "places", "text"),
    [
        pytest.param(7, 2, "7", id="integer"),
        pytest.param(Fraction(100), 0, "100", id="zeros-of-the-whole-part"),
        pytest.param(Fraction(1, 3), 2, "0.33", id="rounded"),
        pytest.param(Fraction(1, 8), 2, "0.12", id="half-to-even-down"),
        pytest.param(Fraction(3, 8), 2, "0.38", id="half-to-even-up"),
        pytest.param(Fraction(5, 2), 2, "2.5", id="trailing-zeros"),
        pytest.param(Fraction(1, 20), 2, "0.05", id="leading-zeros"),
        pytest.param(Fraction(-3, 2), 2, "-1.5", id="negative"),
        pytest.param(Fraction(-1, 1000), 2, "0", id="no-negative-zero"),
        pytest.param(Fraction(10**40 + 1), 6, "1" + "0" * 39 + "1", id="more-digits-than-a-decimal"),
    ],
)
def test_format_number(number, places, text):
    """
    A number of any size is rounded half to even and shown without trailing zeros.
    """
    assert format_number(number, places=places) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("24 H", "24h", id="space-and-capital"),
        pytest.param("1.5h", "1h30m", id="decimal"),
        pytest.param("2w", "14d", id="weeks"),
        pytest.param("1 day", "24h", id="one-day"),
        pytest.param("2 days 12 hours", "60h", id="words"),
        pytest.param("30m1h", "1h30m", id="wrong-order"),
        pytest.param("PT24H", "24h", id="iso-8601"),
        pytest.param("90 secs", "1m30s", id="seconds"),
        pytest.param("0.001s", "", id="milliseconds"),
        pytest.param("0d", "", id="zero"),
        pytest.param("24", "", id="number"),
        pytest.param("soon", "", id="word"),
        pytest.param("", "", id="empty"),
    ],
)
def test_guess_span(text, meant):
    """
    What people write for spans elsewhere is turned into a span of ours, and what cannot be is left alone.
    """
    assert guess_span(text) == meant
    assert not meant or parse_span(meant)
