"""
The view: of readings that overlap the newer one counts, and what left is forgotten.
"""

import pytest
from daemon_stand import NONE, NOW_MS, OBSERVED, ONE_DAY, policies
from msgspec.structs import replace

from guard.core.clock import LONGEST_UNPROVEN_MS
from guard.core.facts import Inventory, Job, JobKey
from guard.core.verdict import Verdict
from guard.daemon.view import View

EXEMPTION = "name: spared, reason: a test, owner: alice, until: 2099-01-01"


def key(job_id):
    """
    An identity.
    """
    return JobKey(region="r", project_id="p", job_id=job_id)


def job(job_id="a", *, at_ms=NOW_MS, phase="Running", target="lab"):
    """
    A reading.
    """
    return Job(key=key(job_id), target=target, read_at_ms=at_ms, phase=phase)


def inventory(*, complete=True, started_ms=NOW_MS):
    """
    A walk.
    """
    return Inventory(target="lab", jobs=0, complete=complete, started_at_ms=started_ms, finished_at_ms=started_ms)


def test_view_keeps_the_newer_reading():
    """
    An older reading never replaces a newer one; of two of one moment the later one counts.
    """
    view = View(policies=policies(ONE_DAY))
    view.look(job(at_ms=NOW_MS, phase="Terminating"), now_ms=NOW_MS)
    assert view.look(job(at_ms=NOW_MS - 1), now_ms=NOW_MS).job.phase == "Terminating"
    assert view.look(job(at_ms=NOW_MS, phase="Terminated"), now_ms=NOW_MS).job.phase == "Terminated"
    assert view.judge(job(at_ms=NOW_MS - 1), now_ms=NOW_MS).job.phase == "Running"
    assert view.watched[key("a")].job.phase == "Terminated"


@pytest.mark.parametrize(
    ("match", "exemptions"),
    [
        pytest.param("{duration: {gt: 24h}}", "", id="the-match-is-unknown-now"),
        pytest.param(
            "{id: a}", f"exemptions: [{{{EXEMPTION}, match: {{duration: {{gt: 1000d}}}}}}]", id="spared-by-doubt-now"
        ),
    ],
)
def test_a_decision_is_not_used_again_once_a_clock_became_unreadable(match, exemptions):
    """
    A clock that says more than a year, with nothing to prove it, is garbage from then on, whatever was decided before.
    """
    ended, told = f"{{name: ended, mode: enforce, match: {match}}}", "{name: told, action: notify, match: {id: a}}"
    view = View(policies=policies(f"policies: [{ended}, {told}]\n{exemptions}"))
    read = replace(job(), duration_ms=LONGEST_UNPROVEN_MS - 1)
    before = view.look(read, now_ms=NOW_MS)
    assert before.terminating is not None
    assert not before.spared
    after = view.look(read, now_ms=NOW_MS + 2)
    assert after.terminating is None or after.spared
    kept = view.newest(key("a"))
    assert (kept.judgements, kept.spared) == (after.judgements, after.spared)


def test_view_drops_what_left():
    """
    A complete walk ends the watch over jobs that it did not show, except those read after it began.
    """
    view = View()
    assert view.take([job("a"), job("b")], now_ms=NOW_MS, walk=1) == []
    assert view.close(inventory(), walk=1) == []
    later_ms = NOW_MS + 60_000
    view.look(job("c", at_ms=later_ms + 10_000), now_ms=later_ms + 10_000)
    assert view.close(inventory(complete=False, started_ms=later_ms), walk=2) == []
    assert len(view.watched) == 3
    view.take([job("b", at_ms=later_ms)], now_ms=later_ms, walk=3)
    assert [one.job.key.job_id for one in view.close(inventory(started_ms=later_ms), walk=3)] == ["a"]
    assert {one.job_id for one in view.watched} == {"b", "c"}
    assert view.running["lab"].running == 2


def test_the_sums_follow_every_reading():
    """
    The sums over the jobs and the counts of verdicts are those of the newest readings, whatever came, changed or left.
    """
    view = View(policies=policies(ONE_DAY))
    view.take([job("a"), job("b", phase="Pending")], now_ms=NOW_MS)
    assert (view.tally("lab").running, view.tally("lab").waiting) == (1, 1)
    assert view.verdicts()["one-day", Verdict.UNKNOWN] == 1
    view.take([job("b", at_ms=NOW_MS + 1), job("a", at_ms=NOW_MS - 1, phase="Pending")], now_ms=NOW_MS + 1)
    assert (view.tally("lab").running, view.tally("lab").waiting) == (2, 0)
    assert view.verdicts()["one-day", Verdict.UNKNOWN] == 2
    view.take([job("b", at_ms=NOW_MS + 2, target="south")], now_ms=NOW_MS + 2)
    assert (view.tally("lab").running, view.tally("south").running) == (1, 1)
    view.take_policies(policies(OBSERVED), now_ms=NOW_MS)
    assert view.verdicts()["one-day", Verdict.NO_MATCH] == 2
    for one in ("a", "b"):
        view.drop(key(one))
    assert (view.tally("lab").shapes, view.tally("south").users) == ({}, {})
    assert not any(view.verdicts().values())


def test_view_knows_since_when_a_policy_is_in_force():
    """
    An unchanged policy keeps its moment over reloads, a changed one begins anew.
    """
    view = View()
    view.take_policies(policies(ONE_DAY), now_ms=1)
    view.take_policies(policies(ONE_DAY + "    description: now with words\n"), now_ms=2)
    assert view.since_ms == {"one-day": 1}
    view.take_policies(policies(OBSERVED), now_ms=3)
    assert view.since_ms == {"one-day": 3}
    view.take_policies(policies(NONE), now_ms=4)
    assert view.since_ms == {}


def test_a_reading_from_a_clock_that_was_ahead():
    """
    What was timed by a clock that ran ahead does not make true readings look old.
    """
    view = View()
    view.look(job(at_ms=NOW_MS + 3_600_000), now_ms=NOW_MS + 3_600_000)
    assert view.look(job(phase="Completed"), now_ms=NOW_MS).job.phase == "Completed"
    assert view.seen(key("a")).last_seen_ms == NOW_MS
