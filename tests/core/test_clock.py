"""
The running time and the waiting time, out of clocks that do not agree.
"""

from typing import Any

import pytest
from built import NOW, pending, running

from guard.core.clock import ClockRule, running_time, waiting_time
from guard.core.facts import ABSENT, UNREADABLE, Growing, Job, Missing
from guard.core.sighting import Sighting, observe
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from tests.changing import replace

SMALLER, DURATION, START_TIME = ClockRule.SMALLER, ClockRule.DURATION, ClockRule.START_TIME
D, S = 5 * HOUR_MS, 6 * HOUR_MS


def elapsed(job: Job, rule: ClockRule = SMALLER, *, seen: Sighting | None = None, now_ms: int = NOW) -> Any:
    """
    Return the milliseconds of the running time at *now_ms*, or why there are none.
    """
    fact = running_time(job, observe(None, job) if seen is None else seen, rule, now_ms=now_ms).fact
    return fact if isinstance(fact, Missing) else fact.at(now_ms)


@pytest.mark.parametrize(
    ("changes", "smaller", "duration", "start_time"),
    [
        pytest.param({"duration_ms": D, "start_time_ms": NOW - S}, D, D, S, id="duration-smaller"),
        pytest.param({"duration_ms": S, "start_time_ms": NOW - D}, D, S, D, id="start-smaller"),
        pytest.param({"duration_ms": D, "start_time_ms": (NOW - S) // 1000}, D, D, S, id="start-in-seconds"),
        pytest.param({"duration_ms": 0, "start_time_ms": NOW - S}, S, UNREADABLE, S, id="duration-zero"),
        pytest.param({"duration_ms": -1, "start_time_ms": NOW - S}, S, UNREADABLE, S, id="duration-negative"),
        pytest.param({"duration_ms": ABSENT, "start_time_ms": NOW - S}, S, UNREADABLE, S, id="duration-absent"),
        pytest.param({"duration_ms": UNREADABLE, "start_time_ms": NOW - S}, S, UNREADABLE, S, id="duration-unreadable"),
        pytest.param({"duration_ms": D, "start_time_ms": 0}, D, D, UNREADABLE, id="start-zero"),
        pytest.param({"duration_ms": D, "start_time_ms": -5}, D, D, UNREADABLE, id="start-negative"),
        pytest.param({"duration_ms": D, "start_time_ms": NOW + 1}, D, D, UNREADABLE, id="start-in-the-future"),
        pytest.param({"duration_ms": D, "start_time_ms": NOW}, 0, D, 0, id="start-now"),
        pytest.param({"duration_ms": D, "start_time_ms": UNREADABLE}, D, D, UNREADABLE, id="start-unreadable"),
        pytest.param({"duration_ms": 0, "start_time_ms": 0}, UNREADABLE, UNREADABLE, UNREADABLE, id="neither"),
    ],
)
def test_which_clock_counts(changes, smaller, duration, start_time):
    """
    The smaller usable clock counts unless the operator chose one, and with none the running time is unreadable.
    """
    job = running(**{"create_time_ms": NOW - DAY_MS, **changes})
    assert [elapsed(job, rule) for rule in (SMALLER, DURATION, START_TIME)] == [smaller, duration, start_time]


@pytest.mark.parametrize(
    ("duration_ms", "readable"),
    [
        pytest.param(HOUR_MS + 2 * MINUTE_MS - 1, True, id="below"),
        pytest.param(HOUR_MS + 2 * MINUTE_MS, True, id="on"),
        pytest.param(HOUR_MS + 2 * MINUTE_MS + 1, False, id="above"),
    ],
)
@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_duration_beyond_the_age_is_unusable(phase, duration_ms, readable):
    """
    Nothing runs longer than it exists, but for the 2 minutes by which clocks may differ.
    """
    job = running(create_time_ms=NOW - HOUR_MS, start_time_ms=0, duration_ms=duration_ms, phase=phase)
    assert elapsed(job) == (duration_ms if readable else UNREADABLE)


@pytest.mark.parametrize(
    ("start_time_ms", "readable"),
    [
        pytest.param(NOW - HOUR_MS - 2 * MINUTE_MS, True, id="on"),
        pytest.param(NOW - HOUR_MS - 2 * MINUTE_MS - 1, False, id="earlier"),
        pytest.param(1, False, id="one-second-after-the-epoch"),
    ],
)
def test_a_start_before_the_creation_is_unusable(start_time_ms, readable):
    """
    A job that started before it was created did not; then the other clock counts alone.
    """
    job = running(create_time_ms=NOW - HOUR_MS, start_time_ms=start_time_ms, duration_ms=UNREADABLE)
    assert elapsed(job) == (NOW - start_time_ms if readable else UNREADABLE)
    assert elapsed(replace(job, duration_ms=MINUTE_MS)) == MINUTE_MS


def test_without_a_creation_the_clocks_stand_alone():
    """
    An unreadable creation says nothing about the clocks.
    """
    assert elapsed(running(DAY_MS, create_time_ms=UNREADABLE)) == DAY_MS


@pytest.mark.parametrize(
    ("span_ms", "readable"),
    [
        pytest.param(366 * DAY_MS, True, id="a-year"),
        pytest.param(366 * DAY_MS + 1, False, id="more-than-a-year"),
        pytest.param(NOW - 1_000, False, id="one-second-after-the-epoch"),
    ],
)
def test_without_a_creation_an_absurd_clock_is_none(span_ms, readable):
    """
    A clock that says more than a year, without a creation that bears it out, is taken for garbage.
    """
    expected = span_ms if readable else UNREADABLE
    assert elapsed(running(span_ms, create_time_ms=UNREADABLE)) == expected
    assert elapsed(running(0, start_time_ms=NOW - span_ms, create_time_ms=UNREADABLE)) == expected


def test_the_running_time_grows():
    """
    A Running job's time goes on since its newest reading, millisecond by millisecond.
    """
    job = running(DAY_MS)
    fact = running_time(job, observe(None, job), SMALLER, now_ms=NOW + 7).fact
    assert fact == Growing(DAY_MS + 7, NOW + 7, 1)


def test_a_snapshot_counts_on_from_its_first_reading():
    """
    A duration that stood still between two readings is as old as the first of them.
    """
    first = running(HOUR_MS, start_time_ms=0)
    second = replace(first, read_at_ms=NOW + MINUTE_MS)
    seen = observe(observe(None, first), second)
    assert elapsed(second, seen=seen, now_ms=NOW + MINUTE_MS) == HOUR_MS + MINUTE_MS


@pytest.mark.parametrize(
    ("lost", "rule", "expected"),
    [
        pytest.param({"duration_ms": 0}, SMALLER, MINUTE_MS, id="zero-begins-anew"),
        pytest.param({"duration_ms": UNREADABLE}, SMALLER, D + MINUTE_MS, id="unreadable-keeps-it-too"),
        pytest.param({"duration_ms": 0}, DURATION, UNREADABLE, id="the-chosen-duration-is-lost"),
        pytest.param({"duration_ms": 0}, START_TIME, S + MINUTE_MS, id="the-chosen-start-is-there"),
        pytest.param({"duration_ms": 0, "start_time_ms": 0}, SMALLER, UNREADABLE, id="both-lost"),
    ],
)
def test_a_lost_duration_never_makes_a_job_older(lost, rule, expected):
    """
    Beside a usable clock the smaller one is remembered from the same run; alone a memory is no clock.
    """
    first = running(create_time_ms=NOW - DAY_MS, duration_ms=D, start_time_ms=NOW - S)
    second = replace(first, read_at_ms=NOW + MINUTE_MS, **lost)
    seen = observe(observe(None, first), second)
    assert elapsed(second, rule, seen=seen, now_ms=NOW + MINUTE_MS) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(SMALLER, D + MINUTE_MS), (DURATION, S + MINUTE_MS), (START_TIME, UNREADABLE)],
)
def test_a_lost_start_never_makes_a_job_older(rule, expected):
    """
    A start that vanishes from one reading is remembered beside the duration, and is no clock alone.
    """
    first = running(create_time_ms=NOW - DAY_MS, duration_ms=S, start_time_ms=NOW - D)
    second = replace(first, read_at_ms=NOW + MINUTE_MS, duration_ms=S + MINUTE_MS, start_time_ms=0)
    seen = observe(observe(None, first), second)
    assert elapsed(second, rule, seen=seen, now_ms=NOW + MINUTE_MS) == expected


def test_a_memory_of_the_future_is_no_clock():
    """
    After a step of the clock back, a time that would be negative is unusable.
    """
    job = running(HOUR_MS)
    assert elapsed(job, now_ms=NOW - HOUR_MS) == 0
    assert elapsed(job, now_ms=NOW - HOUR_MS - 1) is UNREADABLE


@pytest.mark.parametrize(
    ("gap_ms", "disputed"),
    [
        pytest.param(2 * MINUTE_MS, False, id="on"),
        pytest.param(2 * MINUTE_MS + 1, True, id="above"),
        pytest.param(-2 * MINUTE_MS, False, id="on-the-other-way"),
        pytest.param(-2 * MINUTE_MS - 1, True, id="above-the-other-way"),
    ],
)
def test_a_dispute_is_named(gap_ms, disputed):
    """
    Clocks that differ by more than 2 minutes are named, with what was taken.
    """
    job = running(create_time_ms=NOW - DAY_MS, duration_ms=D, start_time_ms=NOW - D - gap_ms)
    assert bool(running_time(job, observe(None, job), SMALLER, now_ms=NOW).dispute) is disputed


def test_the_words_of_a_dispute():
    """
    Both clocks and the rule stand in the sentence.
    """
    job = running(create_time_ms=NOW - DAY_MS, duration_ms=D, start_time_ms=NOW - S)
    told = running_time(job, observe(None, job), SMALLER, now_ms=NOW).dispute
    assert told == "duration says 5h and start_time says 6h; smaller was taken"


@pytest.mark.parametrize(
    ("changes", "rule", "expected"),
    [
        pytest.param({}, SMALLER, HOUR_MS, id="last-reading"),
        pytest.param({"duration_ms": 0}, SMALLER, 0, id="has-not-run"),
        pytest.param({"duration_ms": -1}, SMALLER, UNREADABLE, id="negative"),
        pytest.param({"duration_ms": UNREADABLE}, SMALLER, UNREADABLE, id="unreadable"),
        pytest.param({"phase": UNREADABLE}, SMALLER, UNREADABLE, id="phase-unreadable"),
        pytest.param({"phase": "Completed"}, DURATION, HOUR_MS, id="ended"),
        pytest.param({}, START_TIME, UNREADABLE, id="the-duration-is-not-trusted"),
    ],
)
def test_outside_running_the_last_reading_stands(changes, rule, expected):
    """
    A job that is not Running does not grow older, and without a trusted reading has no running time.
    """
    job = running(HOUR_MS, **{"phase": "Pending", **changes})
    assert elapsed(job, rule) == expected
    assert elapsed(job, rule, now_ms=NOW + HOUR_MS) == expected


@pytest.mark.parametrize(
    ("changes", "waited"),
    [
        pytest.param({}, 3 * HOUR_MS, id="never-ran"),
        pytest.param({"phase": "Creating"}, 3 * HOUR_MS, id="creating"),
        pytest.param({"start_time_ms": ABSENT}, 3 * HOUR_MS, id="only-the-duration-says-so"),
        pytest.param({"duration_ms": ABSENT}, 3 * HOUR_MS, id="only-the-start-says-so"),
        pytest.param({"start_time_ms": ABSENT, "duration_ms": ABSENT}, UNREADABLE, id="nothing-says-so"),
        pytest.param({"start_time_ms": UNREADABLE}, UNREADABLE, id="start-unreadable"),
        pytest.param({"duration_ms": UNREADABLE}, UNREADABLE, id="duration-unreadable"),
        pytest.param({"duration_ms": 1}, UNREADABLE, id="has-run"),
        pytest.param({"start_time_ms": NOW - HOUR_MS}, UNREADABLE, id="has-started"),
        pytest.param({"start_time_ms": NOW + HOUR_MS}, UNREADABLE, id="start-in-the-future"),
        pytest.param({"node_counts": ((NOW - HOUR_MS, 2),)}, UNREADABLE, id="had-nodes"),
        pytest.param({"node_counts": ((NOW - HOUR_MS, 0),)}, 3 * HOUR_MS, id="had-no-nodes"),
        pytest.param({"node_counts": UNREADABLE}, UNREADABLE, id="nodes-unreadable"),
        pytest.param({"create_time_ms": NOW}, 0, id="just-created"),
        pytest.param({"create_time_ms": NOW + 1}, UNREADABLE, id="created-in-the-future"),
        pytest.param({"create_time_ms": 0}, UNREADABLE, id="created-never"),
        pytest.param({"create_time_ms": UNREADABLE}, UNREADABLE, id="creation-unreadable"),
        pytest.param({"phase": "Running"}, UNREADABLE, id="running"),
        pytest.param({"phase": UNREADABLE}, UNREADABLE, id="phase-unreadable"),
        pytest.param({"phase": "Queuing"}, UNREADABLE, id="unknown-phase"),
    ],
)
def test_waiting_of_a_job_that_was_just_found(changes, waited):
    """
    A job that surely never ran waits since its creation; with any doubt the waiting is unreadable.
    """
    job = pending(**changes)
    fact = waiting_time(job, observe(None, job), now_ms=NOW)
    assert (fact if isinstance(fact, Missing) else fact.at(NOW)) == waited


def test_a_requeued_job_is_as_old_as_its_newest_run():
    """
    A job that ran for a day, was seen to wait and runs again counts from then, though it still carries its first start.
    """
    first = running(DAY_MS)
    waits = replace(first, phase="Pending", read_at_ms=NOW + MINUTE_MS, duration_ms=0)
    again = replace(first, read_at_ms=NOW + 2 * MINUTE_MS, duration_ms=0)
    seen = observe(observe(observe(None, first), waits), again)
    assert elapsed(again, seen=seen, now_ms=NOW + 2 * MINUTE_MS) == MINUTE_MS


@pytest.mark.parametrize(
    ("now_ms", "waited"),
    [
        pytest.param(NOW + MINUTE_MS - 1, UNREADABLE, id="before-it-returned"),
        pytest.param(NOW + MINUTE_MS, 0, id="as-it-returned"),
        pytest.param(NOW + MINUTE_MS + 1, 1, id="after"),
    ],
)
def test_waiting_of_a_job_that_returned(now_ms, waited):
    """
    A job that has run waits since the guard saw it return, whatever its creation says.
    """
    first = running(HOUR_MS)
    second = pending(DAY_MS, read_at_ms=NOW + MINUTE_MS)
    fact = waiting_time(second, observe(observe(None, first), second), now_ms=now_ms)
    assert (fact if isinstance(fact, Missing) else fact.at(now_ms)) == waited


def test_a_job_that_was_seen_to_run_never_waits_since_its_creation():
    """
    The memory of a run outweighs zeros in the newest reading.
    """
    first = running(HOUR_MS)
    unclear = replace(first, phase=UNREADABLE, read_at_ms=NOW + 1)
    second = pending(DAY_MS, read_at_ms=NOW + 2)
    seen = observe(observe(observe(None, first), unclear), second)
    assert waiting_time(second, seen, now_ms=NOW + 2) is UNREADABLE
