"""
How new jobs are found between walks, what is planned again, and when a target is walked anew.
"""

import itertools

import pytest
from daemon_stand import HOUR_MS, NOW_MS, ONE_DAY, on_stand, running

from guard.core.limits import Limits
from guard.daemon.health import MOST_LOOKS, Health
from guard.errors import NoAnswer
from guard.simulator import FLAVORS, Fault
from tests.changing import replace

STUCK = """
policies:
  - name: stuck
    mode: enforce
    match: {waiting: {gt: 2h}}
"""
CPU = FLAVORS["modelarts.vm.cpu.8u"]
ONE_AN_HOUR = Limits(max_terminations=1, max_percent_of_running=None)


def created(job_id, *, seconds_ago, **facts):
    """
    A job that was created so long ago and runs since.
    """
    at_ms = NOW_MS - seconds_ago * 1000
    return running(job_id, create_time_ms=at_ms, start_time_ms=at_ms, **facts)


def lists(stand):
    """
    How many list calls the service got.
    """
    return len(stand.calls.of("list"))


def test_a_look_finds_new_jobs_with_one_call():
    """
    A look at a project whose other jobs are known costs one call, queues the new job's deadline, and tells how late it is.
    """

    async def act(stand):
        await stand.walk()
        assert stand.value("discovery_lag_seconds_count", target="lab") == 0
        before = lists(stand)
        stand.world.add(created("new", seconds_ago=9))
        assert await stand.cycle.look(stand.target, waiting=True) == 1
        assert lists(stand) == before + 1
        assert sorted(one.job_id for one in stand.view.watched) == ["job-1", "new"]
        assert len(stand.cycle.deadlines["lab"]) == 2
        assert stand.value("discovery_lag_seconds_sum", target="lab") == pytest.approx(9, abs=1)
        assert stand.value("last_look_timestamp_seconds", target="lab") == pytest.approx(NOW_MS / 1000, abs=1)
        await stand.cycle.look(stand.target, waiting=True)
        assert stand.value("discovery_lag_seconds_count", target="lab") == 1

    on_stand(act, created("job-1", seconds_ago=3600))


def test_a_new_job_that_breaks_the_policy_is_ended_by_the_look():
    """
    What a look finds is planned like what a walk finds.
    """

    async def act(stand):
        await stand.walk()
        stand.world.add(created("new", seconds_ago=90))
        await stand.cycle.look(stand.target, waiting=False)
        await stand.settle()
        assert stand.accepted() == ["new"]

    others = (created(f"job-{n:02}", seconds_ago=3600 + n, flavor=CPU) for n in range(60))
    on_stand(act, *others, text=ONE_DAY.replace("24h", "1m"))


def test_a_walk_finds_what_a_look_missed():
    """
    A job that sorts behind fifty known ones is not found by a look, but by the next walk, and its lag is told.
    """

    async def act(stand):
        await stand.walk()
        stand.world.add(running("old", hours=2))
        await stand.cycle.look(stand.target, waiting=False)
        assert "old" not in [one.job_id for one in stand.view.watched]
        await stand.walk()
        assert "old" in [one.job_id for one in stand.view.watched]
        assert stand.value("discovery_lag_seconds_sum", target="lab") == pytest.approx(3 * 3600, abs=1)

    on_stand(act, *(created(f"job-{n:02}", seconds_ago=3600 + n) for n in range(60)))


def test_waiting_jobs_are_looked_at_only_if_there_are_any():
    """
    Jobs that wait cost a call of their own; one that began to run is seen by it or by the next walk.
    """

    async def act(stand):
        await stand.walk()
        before = lists(stand)
        await stand.cycle.look(stand.target, waiting=False)
        assert lists(stand) == before + 1
        await stand.cycle.look(stand.target, waiting=True)
        assert lists(stand) == before + 3

    on_stand(act, running(queued_time_ms=NOW_MS, start_time_ms=None, create_time_ms=NOW_MS - HOUR_MS), text=STUCK)


def test_what_is_held_back_is_planned_again_by_a_look():
    """
    A job that the limit held back is ended once the window has moved on, without a walk.
    """

    async def act(stand):
        await stand.walk()
        assert stand.accepted() == ["job-2"]
        stand.clock.seconds += 600
        await stand.cycle.look(stand.target, waiting=False)
        await stand.settle()
        assert stand.accepted() == ["job-2"]
        stand.clock.seconds += 3_600
        await stand.cycle.look(stand.target, waiting=False)
        await stand.settle()
        assert stand.accepted() == ["job-2", "job-1"]

    on_stand(act, running("job-1", hours=25), running("job-2", hours=26), limits=ONE_AN_HOUR)


def test_what_an_incomplete_walk_read_is_acted_on():
    """
    A walk that breaks off behind its first page leaves nothing undone of what it read.
    """

    async def act(stand):
        def fail():
            stand.world.knobs = replace(stand.world.knobs, faults=(Fault(operation="list", kind="reset_before"),))

        stand.hooks.after("list", fail)
        assert not (await stand.walk()).complete
        assert stand.accepted() == ["job-00"]

    on_stand(act, running("job-00", hours=30), *(running(f"job-{n:02}", hours=1) for n in range(1, 80)))


def test_a_look_that_fails():
    """
    A target that cannot be looked at raises, and nothing is forgotten.
    """

    async def act(stand):
        await stand.walk()
        stand.world.knobs = replace(stand.world.knobs, faults=(Fault(operation="list", kind="reset_before"),))
        with pytest.raises(NoAnswer):
            await stand.cycle.look(stand.target, waiting=True)
        assert len(stand.view.watched) == 1

    on_stand(act, running(hours=1), text=ONE_DAY)


def test_when_a_walk_is_tried_again():
    """
    A walk that failed is tried again at the next look, then after twice as many looks each time, and after a complete one at
    its own interval only.
    """
    health = Health()
    tried = [look for look in range(1, 200) if health.is_due()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert tried[0] == 1
    assert gaps[:5] == [2, 4, 8, 16, MOST_LOOKS]
    assert set(gaps[5:]) == {MOST_LOOKS}
    health.walked(complete=True, at_ms=NOW_MS)
    assert not any(health.is_due() for _ in range(100))
    health.begin_walk()
    assert not any(health.is_due() for _ in range(3))
    health.failed("silence")
    health.walking, health.looks = False, 0
    assert [health.is_due() for _ in range(3)] == [True, False, True]
    health.walked(complete=True, at_ms=NOW_MS)
    assert not any(health.is_due() for _ in range(100))
    health.walked(complete=False, at_ms=NOW_MS)
    assert [health.is_due() for _ in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda one: None, "not walked yet, 3 jobs watched, 2 deadlines queued", id="new"),
        pytest.param(
            lambda one: one.walked(complete=True, at_ms=NOW_MS - 61_000),
            "walked 61 s ago, 3 jobs watched, 2 deadlines queued",
            id="walked",
        ),
        pytest.param(
            lambda one: one.failed("silence"),
            "not walked yet, 3 jobs watched, 2 deadlines queued; could not be read: silence",
            id="failed",
        ),
    ],
)
def test_how_a_target_is(change, told):
    """
    The readiness tells of each target when it was read, what it holds, and what failed.
    """
    health = Health()
    change(health)
    assert health.told(watched=3, queued=2, now_ms=NOW_MS) == told
