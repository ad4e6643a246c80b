"""
Faults that show what was: copies that lag, stored answers, answers that come twice or to another.
"""

import asyncio
from email.utils import parsedate_to_datetime

import pytest
from simulated import HOUR_MS, NOW, SEARCHES, V2, HandClock, asking, running, search, show, terminate, world_of

from guard.simulator import CallLog, Fault


def staged(kind, *, seconds=30.0, operation="*"):
    """
    A world whose job was started anew and annotated 10 s ago, with a fault.
    """
    clock = HandClock()
    world = world_of(running(), clock=clock, faults=(Fault(operation=operation, kind=kind, seconds=seconds),))
    world.restart("job-1")
    world.change("job-1", annotations={"keep": "yes"})
    clock.seconds += 10
    return world


@pytest.mark.parametrize("kind", ["stale", "cached"])
def test_a_copy_that_lags_shows_what_was(kind):
    """
    Show and list give the state of half a minute ago: the old run, the old annotations; a stored answer has the old Date.
    """
    world = staged(kind)
    answer = show(world)
    for job in (answer.json(), search(world).json()["items"][0]):
        assert job["status"]["duration"] == HOUR_MS - 20_000
        assert job["metadata"]["annotations"] == {}
    date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert date == NOW + 10 - (30 if kind == "cached" else 0)


def test_a_job_that_was_not_there_is_not_found():
    """
    A copy that lags does not know a job that was created since.
    """
    world = staged("stale", seconds=3 * 3_600.0)
    assert show(world).json()["error_code"] == "ModelArts.2775"
    assert search(world).json()["items"] == []


def test_a_termination_is_never_stale():
    """
    A terminate call is carried out now, and copies that lag show the job running for a while.
    """
    world = staged("stale", seconds=5.0)
    assert terminate(world).status_code == 202
    assert world.job("job-1").stop is not None
    assert show(world).json()["status"]["phase"] == "Running"


def test_the_newest_few_pasts_are_kept():
    """
    However often a job is changed, little is remembered.
    """
    world = staged("stale")
    for number in range(50):
        world.change("job-1", description=str(number))
    assert len(world._pasts["job-1"]) == 4


def both(world):
    """
    Two readings at the same time, by id.
    """

    async def talk(client):
        first, second = await asyncio.gather(*(client.get(f"{V2}/training-jobs/job-{number}") for number in (1, 2)))
        return [one.json()["metadata"]["id"] for one in (first, second)]

    return asking(world, talk)


def test_answers_come_twice_or_crossed():
    """
    A duplicated answer is the one before; swapped ones are each other's, and a call that stays alone gets its own.
    """
    world = world_of(running("job-1"), running("job-2"), faults=(Fault(operation="show", kind="swapped", seconds=5.0),))
    assert both(world) == ["job-2", "job-1"]
    world = world_of(running("job-1"), running("job-2"), faults=(Fault(operation="show", kind="duplicated"),))
    assert both(world) == ["job-1", "job-1"]
    world = world_of(running("job-1"), faults=(Fault(operation="show", kind="swapped", seconds=0.01),))
    assert show(world).json()["metadata"]["id"] == "job-1"


def test_a_crossed_termination_is_logged_as_its_own():
    """
    The log says of each termination whether it was carried out, whoever got the answer.
    """
    world, log = world_of(running(), faults=(Fault(operation="terminate", kind="duplicated"),)), CallLog()

    async def talk(client):
        url = f"{V2}/training-jobs/job-1/actions"
        return [(await client.post(url, json={"action_type": "terminate"})).status_code for _ in range(2)]

    assert asking(world, talk, log) == [202, 202]
    assert log.accepted_terminations() == ["job-1"]


def test_faults_that_begin_later():
    """
    A fault with *after* spares the first calls that it would meet, and those of others do not count.
    """
    world = world_of(running(), faults=(Fault(operation="list", kind="status", status=401, after=2, times=1),))

    async def talk(client):
        asked = [
            client.post(SEARCHES, json={}) if number % 2 else client.get(f"{V2}/training-jobs/job-1") for number in range(8)
        ]
        return [(await one).status_code for one in asked]

    assert asking(world, talk) == [200, 200, 200, 200, 200, 401, 200, 200]
    with pytest.raises(ValueError, match="after is a number from 0 up"):
        Fault(operation="list", kind="status", after=-1)
