"""
Which readings contradict what is known of a job by a newer state.
"""

import pytest
from built import NOW, running

from guard.core.facts import ABSENT, UNREADABLE
from guard.core.outdated import LONGEST_LAG_MS, TOLERANCE_MS, outdated
from guard.core.sighting import observe
from guard.core.spans import HOUR_MS, SECOND_MS
from tests.changing import replace

OLD = running(25 * HOUR_MS)
LATER = 10 * SECOND_MS


def told(known, again):
    """
    What is said of a reading *again*, when *known* was read at NOW.
    """
    return outdated(observe(None, known), replace(again, read_at_ms=NOW + LATER) if again.read_at_ms == NOW else again)


@pytest.mark.parametrize(
    ("again", "is_outdated"),
    [
        pytest.param({}, False, id="the-same"),
        pytest.param({"duration_ms": 25 * HOUR_MS + LATER}, False, id="ran-on"),
        pytest.param({"duration_ms": 25 * HOUR_MS - 30_000}, True, id="of-half-a-minute-ago"),
        pytest.param({"duration_ms": 25 * HOUR_MS - 1}, True, id="a-millisecond-less"),
        pytest.param({"duration_ms": LATER + TOLERANCE_MS}, False, id="a-run-that-began-since"),
        pytest.param({"duration_ms": LATER + TOLERANCE_MS + 1}, True, id="longer-than-the-time-since"),
        pytest.param({"duration_ms": 0}, False, id="zero"),
        pytest.param({"duration_ms": ABSENT}, False, id="duration-lost"),
        pytest.param({"duration_ms": UNREADABLE}, False, id="duration-unreadable"),
        pytest.param({"start_time_ms": OLD.start_time_ms - 1_000}, False, id="start-a-second-earlier"),
        pytest.param({"start_time_ms": OLD.start_time_ms - 1_001}, True, id="start-earlier"),
        pytest.param({"start_time_ms": OLD.start_time_ms - 1_001, "duration_ms": ABSENT}, True, id="start-earlier-alone"),
        pytest.param({"start_time_ms": NOW, "duration_ms": HOUR_MS}, False, id="started-anew-with-a-strange-duration"),
        pytest.param({"start_time_ms": 0, "duration_ms": 5}, False, id="anew-by-its-duration"),
        pytest.param({"start_time_ms": 0, "duration_ms": HOUR_MS}, True, id="without-a-start"),
    ],
)
def test_what_contradicts_a_running_job(again, is_outdated):
    """
    A start that goes back and a duration that no run since can have are of a state before; a restart and lost facts are not.
    """
    assert bool(told(OLD, replace(OLD, **again))) is is_outdated


@pytest.mark.parametrize(
    ("waits", "again", "is_outdated"),
    [
        pytest.param({"duration_ms": 0}, {}, True, id="the-old-run"),
        pytest.param({"duration_ms": 0}, {"duration_ms": LATER}, False, id="began-since"),
        pytest.param({"duration_ms": 0}, {"duration_ms": 0}, False, id="zero"),
        pytest.param({}, {}, False, id="a-duration-that-goes-on-over-both"),
        pytest.param({}, {"duration_ms": 24 * HOUR_MS}, True, id="less-than-when-it-waited"),
    ],
)
def test_what_contradicts_a_waiting_job(waits, again, is_outdated):
    """
    A job that was seen waiting without any running time has not run for longer than the time since.
    """
    waiting = replace(OLD, phase="Pending", start_time_ms=0, **waits)
    assert bool(told(waiting, replace(OLD, **again))) is is_outdated


@pytest.mark.parametrize(
    ("since_ms", "is_outdated"),
    [
        pytest.param(-1, False, id="read-before"),
        pytest.param(0, True, id="at-once"),
        pytest.param(LONGEST_LAG_MS, True, id="at-the-longest-lag"),
        pytest.param(LONGEST_LAG_MS + 1, False, id="longer-than-anybody-lags"),
    ],
)
def test_how_long_a_reading_proves_something(since_ms, is_outdated):
    """
    What still contradicts after ten minutes is no lag, and counts as it always did; a reading made before is no news anyway.
    """
    again = replace(OLD, read_at_ms=NOW + since_ms, start_time_ms=OLD.start_time_ms - HOUR_MS)
    assert bool(outdated(observe(None, OLD), again)) is is_outdated


def test_nothing_is_known_of_a_new_job():
    """
    A first reading contradicts nothing.
    """
    assert outdated(None, OLD) == ""


def test_the_contradiction_is_named():
    """
    What is said names both sides.
    """
    assert (
        told(OLD, replace(OLD, start_time_ms=OLD.start_time_ms - HOUR_MS))
        == "its start lies 1h before the one that is known"
    )
    shorter = replace(OLD, duration_ms=24 * HOUR_MS)
    assert told(OLD, shorter) == "it says 24h of running time, but 25h were known 10s before"
    waiting = replace(OLD, phase="Pending", start_time_ms=0, duration_ms=0)
    assert told(waiting, OLD) == "it says 25h of running time, but it was seen waiting 10s before"
