"""
What a job was when it was decided on, and runs of it as the savings read them.
"""

import pytest
from built import NOW, P100, TERMS, running
from past_runs import LIKE, run

from guard.core.clock import ClockRule
from guard.core.facts import ABSENT, UNREADABLE, Resource
from guard.core.fields import Terms
from guard.core.likeness import End, Likeness, PastRun
from guard.core.sighting import observe
from guard.core.spans import HOUR_MS
from guard.core.work import Work, likeness_of, resubmission, seen_from, stopped_run, unseen, work_of
from tests.changing import replace

OURS = Likeness(user="ann", stem="resnet", billing_codes=P100, cards=32)


@pytest.mark.parametrize(
    ("changes", "like"),
    [
        pytest.param({}, OURS, id="all-known"),
        pytest.param({"name": "20260101"}, replace(OURS, stem="20260101"), id="nothing-but-a-date"),
        pytest.param({"name": UNREADABLE}, replace(OURS, stem=None), id="no-name"),
        pytest.param({"user": UNREADABLE}, replace(OURS, user=None), id="no-user"),
        pytest.param({"resources": ()}, replace(OURS, billing_codes=None, cards=None), id="no-resource"),
        pytest.param(
            {"resources": (Resource(billing_code=P100),)}, replace(OURS, cards=None), id="a-resource-without-its-cards"
        ),
    ],
)
def test_what_a_job_is_like(changes, like):
    """
    What could not be read is like nothing.
    """
    assert likeness_of(running(**changes)) == like


@pytest.mark.parametrize(
    ("changes", "first_seen_ms", "expected"),
    [
        pytest.param({}, NOW - HOUR_MS, (25 * HOUR_MS, 24 * HOUR_MS), id="first-seen-an-hour-ago"),
        pytest.param({}, NOW - 30 * HOUR_MS, (25 * HOUR_MS, 0), id="seen-before-it-ran"),
        pytest.param({"duration_ms": UNREADABLE, "start_time_ms": UNREADABLE}, NOW, (None, 0), id="no-clock"),
        pytest.param(
            {"phase": "Pending", "duration_ms": ABSENT, "start_time_ms": ABSENT}, NOW, (0, 0), id="it-waits-and-never-ran"
        ),
    ],
)
def test_how_long_it_had_run(changes, first_seen_ms, expected):
    """
    The running time at the decision, and how much of it had passed when the job was first seen.
    """
    job = running(**changes)
    seen = replace(observe(None, job), first_seen_ms=first_seen_ms)
    work = work_of(job, seen, ClockRule.SMALLER, now_ms=NOW)
    assert (work.elapsed_ms, work.entry_ms) == expected


def test_a_run_that_goes_on_counts_as_far_as_it_was_seen():
    """
    It was there until it was seen last, and without a clock or before it ran it tells nothing.
    """
    job = running()
    seen = observe(None, job)
    expected = PastRun(like=OURS, entry_ms=25 * HOUR_MS, exit_ms=25 * HOUR_MS, exit_at_ms=NOW, end=End.UNSEEN)
    assert unseen(job, seen, ClockRule.SMALLER) == expected
    clockless = running(duration_ms=UNREADABLE, start_time_ms=UNREADABLE)
    assert unseen(clockless, observe(None, clockless), ClockRule.SMALLER) is None


@pytest.mark.parametrize(("elapsed_ms", "exit_ms"), [(None, 1), (0, 0), (HOUR_MS, HOUR_MS)])
def test_a_run_that_the_guard_stopped(elapsed_ms, exit_ms):
    """
    One whose running time is not known counts as stopped at once, so that nothing later is taken for untouched.
    """
    found = stopped_run(Work(like=LIKE, elapsed_ms=elapsed_ms), at_ms=NOW)
    assert found == PastRun(like=LIKE, entry_ms=0, exit_ms=exit_ms, exit_at_ms=NOW, end=End.GUARD)


@pytest.mark.parametrize(
    ("hours_ago", "entry_hours"),
    [
        pytest.param(100, 0, id="all-of-it-is-there"),
        pytest.param(30, 0, id="it-began-with-the-history"),
        pytest.param(10, 20, id="it-began-before"),
        pytest.param(-1, 30, id="it-ended-before"),
    ],
)
def test_a_history_that_was_cut_shows_no_short_runs_of_before(hours_ago, entry_hours):
    """
    A run counts from when the history begins, and not at all if it ended before that.
    """
    assert seen_from(run(30), NOW - hours_ago * HOUR_MS) == run(30, entry_ms=entry_hours * HOUR_MS)


@pytest.mark.parametrize(
    ("changes", "run_number", "created_ms"),
    [
        pytest.param({}, 1, NOW - 26 * HOUR_MS, id="the-first-run-counts-from-its-creation"),
        pytest.param({}, 2, NOW - 25 * HOUR_MS, id="a-later-one-from-its-start"),
        pytest.param({"start_time_ms": ABSENT}, 2, NOW, id="without-a-start-from-when-it-was-seen"),
        pytest.param({"create_time_ms": UNREADABLE}, 1, NOW - 25 * HOUR_MS, id="creation-unreadable"),
    ],
)
def test_a_job_as_a_re_submission(changes, run_number, created_ms):
    """
    A live job is taken for the same work again from when it was made, at what it has cost.
    """
    job = running(**changes)
    found = resubmission(job, replace(observe(None, job), run=run_number), TERMS)
    assert (found.user, found.stem, found.created_ms, found.currency) == ("ann", "resnet", created_ms, "CNY")
    assert found.cost == 3 * 2 * 4 * 25
    assert resubmission(job, observe(None, job), Terms()).cost is None
    assert resubmission(job, observe(None, job), Terms()).currency == ""
