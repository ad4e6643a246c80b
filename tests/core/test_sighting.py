"""
What is remembered of a job from one reading to the next.
"""

import pytest
from built import KEY, NOW, pending, running

from guard.core.facts import ABSENT, UNREADABLE, Job
from guard.core.sighting import Sighting, observe, usable_reading, usable_start
from guard.core.spans import HOUR_MS, MINUTE_MS
from tests.changing import replace

START = NOW - HOUR_MS
LATER = NOW + MINUTE_MS
LATEST = NOW + 2 * MINUTE_MS


def seen(*jobs: Job) -> Sighting:
    """
    Return the memory after these readings, in this order.
    """
    memory = None
    for job in jobs:
        memory = observe(memory, job)
    assert memory is not None
    return memory


def test_first_reading():
    """
    The first reading begins run 1 and is all that is known.
    """
    assert seen(running(HOUR_MS)) == Sighting(
        key=KEY,
        target="lab",
        run=1,
        first_seen_ms=NOW,
        last_seen_ms=NOW,
        phase="Running",
        ran=True,
        reading_ms=HOUR_MS,
        reading_at_ms=NOW,
        start_time_ms=START,
    )


def test_first_reading_of_a_job_that_never_ran():
    """
    A job that waits has no clock and has not run.
    """
    assert seen(pending()) == Sighting(key=KEY, target="lab", run=1, first_seen_ms=NOW, last_seen_ms=NOW, phase="Pending")


@pytest.mark.parametrize(
    ("start_time", "start_ms"),
    [
        pytest.param(START, START, id="milliseconds"),
        pytest.param(NOW, NOW, id="now"),
        pytest.param(NOW + 1, None, id="future"),
        pytest.param(1_749_996_400, START, id="seconds"),
        pytest.param(1_750_000_001, None, id="seconds-of-the-future"),
        pytest.param(10**11 - 1, None, id="largest-seconds"),
        pytest.param(10**11, 10**11, id="smallest-milliseconds"),
        pytest.param(1, 1_000, id="one"),
        pytest.param(0, None, id="zero"),
        pytest.param(-1, None, id="negative"),
        pytest.param(ABSENT, None, id="absent"),
        pytest.param(UNREADABLE, None, id="unreadable"),
    ],
)
def test_usable_start(start_time, start_ms):
    """
    A start is milliseconds, or seconds below 10^11, and unusable if zero, negative, missing or in the future.
    """
    assert usable_start(running(start_time_ms=start_time)) == start_ms


@pytest.mark.parametrize(
    ("duration", "reading_ms"),
    [
        pytest.param(1, 1, id="one"),
        pytest.param(0, None, id="zero"),
        pytest.param(-1, None, id="negative"),
        pytest.param(ABSENT, None, id="absent"),
        pytest.param(UNREADABLE, None, id="unreadable"),
    ],
)
def test_usable_reading(duration, reading_ms):
    """
    A duration is usable above zero.
    """
    assert usable_reading(running(duration_ms=duration)) == reading_ms


@pytest.mark.parametrize(
    ("again", "run"),
    [
        pytest.param({}, 1, id="nothing-changed"),
        pytest.param({"start_time_ms": START + 1_000}, 1, id="start-1-s-later"),
        pytest.param({"start_time_ms": START + 1_001}, 2, id="start-more-than-1-s-later"),
        pytest.param({"start_time_ms": START - 1_000}, 1, id="start-1-s-earlier"),
        pytest.param({"start_time_ms": START - 1_001}, 2, id="start-more-than-1-s-earlier"),
        pytest.param({"start_time_ms": START // 1000}, 1, id="start-in-seconds"),
        pytest.param({"start_time_ms": 0}, 1, id="start-lost"),
        pytest.param({"start_time_ms": UNREADABLE}, 1, id="start-unreadable"),
        pytest.param({"duration_ms": HOUR_MS + 1}, 1, id="duration-rose"),
        pytest.param({"duration_ms": HOUR_MS - 1}, 2, id="duration-fell"),
        pytest.param({"duration_ms": 0}, 2, id="zero-on-a-running-job"),
        pytest.param({"duration_ms": -1}, 1, id="negative-on-a-running-job"),
        pytest.param({"duration_ms": ABSENT}, 1, id="duration-lost"),
        pytest.param({"duration_ms": UNREADABLE}, 1, id="duration-unreadable"),
        pytest.param({"duration_ms": 0, "phase": "Pending"}, 2, id="zero-on-a-waiting-job"),
        pytest.param({"duration_ms": 0, "phase": "Creating"}, 2, id="zero-on-a-created-job"),
        pytest.param({"phase": "Pending"}, 1, id="returned-with-its-duration"),
        pytest.param({"phase": UNREADABLE, "duration_ms": 0}, 1, id="zero-in-an-unreadable-phase"),
        pytest.param({"phase": "Terminating"}, 1, id="terminating"),
    ],
)
def test_what_begins_a_new_run(again, run):
    """
    A changed start or a fall of the duration begins a new run, and nothing else does.
    """
    first = running(HOUR_MS)
    assert seen(first, replace(first, read_at_ms=LATER, **again)).run == run


def test_a_new_run_forgets_the_clock_of_the_old_one():
    """
    A new run has its own readings, and what was seen first is the new run.
    """
    memory = seen(running(HOUR_MS), running(0, read_at_ms=LATER, start_time_ms=NOW, duration_ms=0))
    assert memory == Sighting(
        key=KEY,
        target="lab",
        run=2,
        first_seen_ms=LATER,
        last_seen_ms=LATER,
        phase="Running",
        ran=True,
        start_time_ms=NOW,
    )


@pytest.mark.parametrize(
    ("second", "reading"),
    [
        pytest.param({}, (HOUR_MS, NOW), id="stood-still"),
        pytest.param({"duration_ms": HOUR_MS + 1}, (HOUR_MS + 1, LATER), id="moved"),
        pytest.param({"duration_ms": 0}, (0, NOW), id="zero"),
        pytest.param({"duration_ms": UNREADABLE}, (HOUR_MS, NOW), id="unreadable"),
        pytest.param({"phase": "Pending"}, (HOUR_MS, LATER), id="stood-still-while-waiting"),
        pytest.param({"phase": UNREADABLE}, (HOUR_MS, LATER), id="stood-still-in-an-unreadable-phase"),
    ],
)
def test_a_reading_that_stands_still_counts_from_its_first_appearance(second, reading):
    """
    Between two readings of a Running job a duration that stood still is a snapshot; time spent waiting is never counted.
    """
    first = running(HOUR_MS)
    memory = seen(first, replace(first, read_at_ms=LATER, **second))
    assert (memory.reading_ms, memory.reading_at_ms) == reading


def test_time_between_runs_of_the_clock_is_not_counted():
    """
    A duration that stands still while the job waits counts on only from the first reading on which it runs again.
    """
    first = running(HOUR_MS)
    memory = seen(first, replace(first, read_at_ms=LATER, phase="Pending"), replace(first, read_at_ms=LATEST))
    assert (memory.reading_ms, memory.reading_at_ms) == (HOUR_MS, LATEST)


@pytest.mark.parametrize(
    ("waits", "runs", "reading"),
    [
        pytest.param({"duration_ms": 0}, {"duration_ms": 0}, (0, LATER), id="zeros-and-the-old-start"),
        pytest.param({}, {"duration_ms": 0}, (0, LATER), id="zero-once-it-runs"),
        pytest.param({}, {"duration_ms": ABSENT}, (0, LATER), id="duration-lost"),
        pytest.param({"duration_ms": 0}, {"duration_ms": 0, "start_time_ms": 0}, (0, LATER), id="start-not-there-yet"),
        pytest.param({"duration_ms": 0}, {"duration_ms": 0, "start_time_ms": LATER - 1}, (0, LATER), id="start-before"),
        pytest.param({"duration_ms": 0}, {"duration_ms": 0, "start_time_ms": LATER}, (None, None), id="start-after"),
        pytest.param({"duration_ms": 0}, {"duration_ms": 5}, (5, LATEST), id="duration-of-its-own"),
    ],
)
def test_a_run_is_no_older_than_the_last_time_the_job_was_seen_to_wait(waits, runs, reading):
    """
    A requeued job that still carries the start of its earlier run counts from the moment at which it was seen waiting.
    """
    first = running(HOUR_MS)
    second = replace(first, phase="Pending", read_at_ms=LATER, **waits)
    memory = seen(first, second, replace(first, read_at_ms=LATEST, **runs))
    assert (memory.reading_ms, memory.reading_at_ms) == reading


@pytest.mark.parametrize(
    ("readings", "since_ms"),
    [
        pytest.param(("Pending", "Pending"), None, id="never-ran"),
        pytest.param(("Running", "Pending"), LATER, id="returned"),
        pytest.param(("Running", "Creating"), LATER, id="returned-to-creating"),
        pytest.param(("Running", "Pending", "Pending"), LATER, id="still-waits"),
        pytest.param(("Running", "Pending", "Creating"), LATER, id="still-waits-in-another-phase"),
        pytest.param(("Running", "Pending", "Running"), None, id="runs-again"),
        pytest.param(("Pending", "Running", "Pending"), LATEST, id="ran-for-the-first-time"),
        pytest.param(("Running", UNREADABLE, "Pending"), None, id="the-return-was-not-seen"),
        pytest.param(("Running", "Terminating", "Pending"), None, id="the-return-is-not-understood"),
    ],
)
def test_since_when_a_job_waits(readings, since_ms):
    """
    A job that has run waits since the guard saw it return, and since nobody knows when if that was not seen.
    """
    jobs = [
        running(HOUR_MS, phase=phase, read_at_ms=at, duration_ms=ABSENT, start_time_ms=ABSENT)
        for phase, at in zip(readings, (NOW, LATER, LATEST), strict=False)
    ]
    assert seen(*jobs).waiting_since_ms == since_ms


@pytest.mark.parametrize(
    ("last", "since_ms", "run"),
    [
        pytest.param({}, LATER, 1, id="still-waits"),
        pytest.param({"duration_ms": UNREADABLE}, LATER, 1, id="duration-lost"),
        pytest.param({"duration_ms": HOUR_MS + 1}, LATEST, 1, id="ran-on-in-between"),
        pytest.param({"start_time_ms": LATER}, LATEST, 2, id="started-anew-in-between"),
        pytest.param({"duration_ms": 5}, LATEST, 2, id="ran-anew-in-between"),
    ],
)
def test_a_run_between_two_readings_ends_the_waiting(last, since_ms, run):
    """
    A waiting job whose clocks show that it ran since the last reading waits anew.
    """
    first = running(HOUR_MS)
    waits = replace(first, phase="Pending", read_at_ms=LATER)
    memory = seen(first, waits, replace(waits, read_at_ms=LATEST, **last))
    assert (memory.waiting_since_ms, memory.run, memory.ran) == (since_ms, run, True)


def test_a_run_that_nobody_saw_gives_no_waiting():
    """
    A job that waits on both readings but ran in between, for the first time, waits since nobody knows when.
    """
    memory = seen(pending(), pending(read_at_ms=LATER, duration_ms=MINUTE_MS, start_time_ms=NOW))
    assert (memory.waiting_since_ms, memory.ran) == (None, True)


@pytest.mark.parametrize(
    ("read_at_ms", "changes"),
    [
        pytest.param(NOW - 1, False, id="older"),
        pytest.param(NOW, True, id="same-moment"),
        pytest.param(NOW + 1, True, id="newer"),
    ],
)
def test_a_reading_older_than_the_memory_changes_nothing(read_at_ms, changes):
    """
    Readings that arrive out of order never take the memory back.
    """
    memory = seen(running(HOUR_MS))
    late = running(HOUR_MS, read_at_ms=read_at_ms, duration_ms=5)
    assert (observe(memory, late) is not memory) is changes
