"""
Made-up jobs: the same for the same seed, and of every sort.
"""

from collections import Counter

import pytest
from simulated import NOW_MS, world_of

from guard.simulator import Knobs, populate, render
from guard.simulator.jobs import LIVE_PHASES


def shown(count, **arguments):
    """
    The renderings of *count* made-up jobs.
    """
    world = world_of()
    return [render(job, Knobs(), NOW_MS) for job in populate(world, count, **arguments)]


def test_the_same_seed_gives_the_same_jobs():
    """
    Jobs depend on the seed and the moment only.
    """
    assert shown(50, seed=4) == shown(50, seed=4)
    assert shown(50, seed=4) != shown(50, seed=5)


def test_every_sort_is_there():
    """
    Among many jobs are all live phases and ends, several workspaces, users, kinds, flavors, pools and quirks.
    """
    world = world_of()
    jobs = populate(world, 1000, seed=2)
    phases = Counter(job.phase(NOW_MS) for job in jobs)
    assert set(phases) == {"Creating", "Pending", "Running", "Completed", "Failed", "Terminated"}
    assert phases["Running"] > 500
    assert {job.workspace for job in jobs} == set(world.site.workspaces)
    assert {job.kind for job in jobs} == {"job", "hetero_job"}
    assert len({job.user for job in jobs}) > 8
    assert len({job.flavor.id for job in jobs if job.flavor}) > 12
    assert any(job.pool_id for job in jobs)
    assert 5 < sum(job.quirk is not None for job in jobs) < 50
    assert len(world.live()) == sum(phases[phase] for phase in LIVE_PHASES)


@pytest.mark.parametrize("job_seed", range(5))
def test_jobs_are_possible(job_seed):
    """
    No job starts before it was queued or ends before it started.
    """
    for job in populate(world_of(), 200, seed=job_seed, quirk_share=0):
        moments = [job.create_time_ms, job.queued_time_ms, job.start_time_ms, job.end_time_ms]
        known = [moment for moment in moments if moment is not None]
        assert known == sorted(known)
