"""
The ends of exemptions: days of any length, timestamps with offsets, and dates that nobody should have to guess.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from guard.core.spans import HOUR_MS, SECOND_MS
from guard.core.until import parse_until


@pytest.mark.parametrize(
    ("until", "zone", "ends"),
    [
        pytest.param("2026-12-31", "UTC", "2027-01-01T00:00:00+00:00", id="utc"),
        pytest.param("2026-12-31", "Asia/Shanghai", "2026-12-31T16:00:00+00:00", id="east"),
        pytest.param("2024-02-28", "America/New_York", "2024-02-29T05:00:00+00:00", id="leap-day-west"),
        pytest.param("2026-03-29", "Europe/Berlin", "2026-03-29T22:00:00+00:00", id="day-of-23-hours"),
        pytest.param("2026-10-25", "Europe/Berlin", "2026-10-25T23:00:00+00:00", id="day-of-25-hours"),
        pytest.param("2018-11-03", "America/Sao_Paulo", "2018-11-04T03:00:00+00:00", id="next-day-has-no-midnight"),
        pytest.param("2018-02-17", "America/Sao_Paulo", "2018-02-18T03:00:00+00:00", id="hour-before-midnight-twice"),
        pytest.param("2011-12-29", "Pacific/Apia", "2011-12-30T10:00:00+00:00", id="next-day-left-out"),
        pytest.param("2026-12-31T18:00:00Z", "Asia/Tokyo", "2026-12-31T18:00:00+00:00", id="timestamp"),
        pytest.param("2026-12-31T18:00:00.0019z", "UTC", "2026-12-31T18:00:00.001+00:00", id="fraction"),
        pytest.param("2026-12-31 18:00:00.5+08:00", "UTC", "2026-12-31T10:00:00.500+00:00", id="offset-east"),
        pytest.param("2026-12-31t18:00:00-03:30", "UTC", "2026-12-31T21:30:00+00:00", id="offset-west"),
    ],
)
def test_until(until, zone, ends):
    """
    A bare date lasts to the end of that day in the zone, however long it is there; a timestamp ends where it says.
    """
    assert parse_until(until, zone=ZoneInfo(zone)) == round(datetime.fromisoformat(ends).timestamp() * SECOND_MS)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_until_the_edges_of_the_calendar(zone):
    """
    The first and the last day that can be written are dates like any other.
    """
    ends = [
        parse_until(until, zone=ZoneInfo(zone))
        for until in ("0001-01-01", "0001-01-01T00:00:00+23:59", "9999-12-30", "9999-12-31", "9999-12-31T23:59:59-23:59")
    ]
    assert ends[3] - ends[2] == 24 * HOUR_MS
    assert ends[1] < ends[0] < ends[2] < ends[3]


@pytest.mark.parametrize(
    ("until", "message"),
    [
        pytest.param("2026-02-29", "there is no such date or time", id="no-leap-year"),
        pytest.param("2026-13-01", "there is no such date or time", id="month"),
        pytest.param("0000-01-01", "there is no such date or time", id="year"),
        pytest.param("2026-12-31T24:00:01Z", "there is no such date or time", id="hour"),
        pytest.param("2026-12-31T23:59:60Z", "there is no such date or time", id="second"),
        pytest.param("2026-12-31T18:00:00", "expected a timestamp with its offset such as", id="no-offset"),
        pytest.param("2026-12-31T18:00:00+24:00", "expected a date such as 2026-12-31", id="offset"),
        pytest.param("2026-12-31T18:00Z", "expected a date such as 2026-12-31", id="no-seconds"),
        pytest.param("31.12.2026", "expected a date such as 2026-12-31", id="other-order"),
        pytest.param("2026-W53-4", "expected a date such as 2026-12-31", id="week"),
        pytest.param("20261231", "expected a date such as 2026-12-31", id="digits"),
        pytest.param("２０２６-12-31", "expected a date such as 2026-12-31", id="other-digits"),
    ],
)
def test_refused_until(until, message):
    """
    A date that does not exist or is not clear to everybody is refused.
    """
    with pytest.raises(ValueError, match=message):
        parse_until(until, zone=UTC)
