"""
Looks: what is new and what waits, with few calls and without any claim about what is not there.
"""

from typing import Any

import pytest
from calling import HOUR_MS, NOW_MS, Bench, HandClock, Taken, ask, walk_once

from guard.core.facts import JobKey
from guard.errors import NeedsPerson
from guard.simulator import DEFAULT_PROJECT, FLAVORS, Fault, Knobs, SimJob, Site, World

P100 = FLAVORS["modelarts.vm.p100.large.eco"]
SITE = Site(project_id=DEFAULT_PROJECT, region="cn-north-4", workspaces={"0": "default", "w1": "vision", "w2": "speech"})


def world_of(old: int, **knobs: Any) -> World:
    world = World(Knobs(**knobs), HandClock().now, site=SITE)
    for number in range(old):
        add(world, f"old-{number:03}", NOW_MS - 9 * HOUR_MS + number)
    return world


def add(world: World, job_id: str, created_ms: int, **facts: Any) -> SimJob:
    plan = {"start_time_ms": created_ms, "flavor": P100, **facts}
    return world.add(SimJob(id=job_id, create_time_ms=created_ms, **plan))


def is_old(key: JobKey) -> bool:
    return key.job_id.startswith("old")


async def look(bench: Bench) -> tuple[int, Taken]:
    taken = Taken()
    return await bench.client.look(taken, lambda key: is_old(key) or key.job_id in taken.by_id), taken


async def look_waiting(bench: Bench) -> tuple[int, Taken]:
    taken = Taken()
    return await bench.client.look_waiting(taken), taken


@pytest.mark.parametrize("means", ["page", "item"])
@pytest.mark.parametrize(("new", "calls"), [(0, 1), (1, 2), (49, 2), (50, 2), (130, 5)])
def test_a_look_ends_at_what_is_known(means, new, calls):
    """
    A look reads from the newest job on until a window brings only known ones, whatever ``offset`` counts.
    """
    world = world_of(300, offset_means=means)
    for number in range(new):
        add(world, f"new-{number:03}", NOW_MS - 1000 + number)
    bench = Bench(world)

    async def act(bench: Bench) -> tuple[int, Taken]:
        await walk_once(bench)
        return await look(bench)

    spent, taken = ask(bench, act)
    assert {job_id for job_id in taken.ids if job_id.startswith("new")} == {f"new-{number:03}" for number in range(new)}
    assert spent <= calls
    assert len(bench.log.of("list")) > spent


@pytest.mark.parametrize("means", ["page", "item"])
def test_a_first_look(means):
    """
    A look before any walk finds out what ``offset`` means and reads on to the end if nothing is known.
    """
    world = world_of(0, offset_means=means)
    for number in range(130):
        add(world, f"new-{number:03}", NOW_MS - 1000 + number)
    spent, taken = ask(Bench(world), look)
    assert len(taken.ids) == 130
    assert spent <= 5


def test_a_look_knows_only_the_live():
    """
    A look takes no job that has ended, also where the service refuses the filter, which is tried once.
    """
    world = world_of(10, refuse_filters=True)
    add(world, "new-ended", NOW_MS - 500, end_time_ms=NOW_MS - 100)
    add(world, "new-live", NOW_MS - 400)
    bench = Bench(world)

    async def act(bench: Bench) -> None:
        for calls in (2, 1):
            spent, taken = await look(bench)
            assert (spent, taken.ids[0]) == (calls, "new-live")
            assert "new-ended" not in taken.ids

    ask(bench, act)
    assert len(bench.log.of("list")) == 3


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("means", ["page", "item"])
def test_a_look_at_what_waits(means, refused):
    """
    All jobs that are Creating or Pending are read and no others, in every workspace.
    """
    world = world_of(120, offset_means=means, refuse_filters=refused)
    waiting = {f"wait-{number:03}" for number in range(110)}
    for number, job_id in enumerate(sorted(waiting)):
        queued = {"queued_time_ms": NOW_MS + HOUR_MS} if number % 2 else {}
        workspace = "w1" if number % 10 == 0 else "0"
        add(world, job_id, NOW_MS - 1000 + number, start_time_ms=None, workspace=workspace, **queued)
    bench = Bench(world, target={})
    spent, taken = ask(bench, look_waiting)
    assert set(taken.ids) == waiting
    assert {job.phase for job in taken.jobs} == {"Creating", "Pending"}
    assert spent == len(bench.log.of("list"))


@pytest.mark.parametrize("act", [look, look_waiting])
def test_a_workspace_that_fails_keeps_no_other_from_being_looked_at(act):
    """
    What can be read is read, and only if nothing can be is it an error.
    """
    world = world_of(1)
    add(world, "new-w1", NOW_MS, workspace="w1", start_time_ms=None)
    spent, taken = ask(Bench(world, target={"workspaces": ("nowhere", "w1")}), act)
    assert (spent, taken.ids) == (2, ["new-w1"])
    world.knobs = Knobs(faults=(Fault(operation="list", kind="status", status=403, code="ModelArts.0108"),))
    with pytest.raises(NeedsPerson):
        ask(Bench(world, target={}), act)


def test_looks_list_no_workspaces_again():
    """
    Looks go to the workspaces that the newest list of them named; new ones are found by walks.
    """
    bench = Bench(world_of(1), target={})

    async def act(bench: Bench) -> None:
        await look(bench)
        await look(bench)
        await look_waiting(bench)

    ask(bench, act)
    assert len(bench.log.of("workspaces")) == 1
    assert len(bench.log.of("list")) == 9


def test_progress_is_told():
    """
    A walk tells after each window how many jobs it has read, and of about how many once a walk has been.
    """
    bench = Bench(world_of(60))
    told: list[tuple[int, int | None]] = []

    async def act(bench: Bench) -> None:
        for _ in range(2):
            await bench.client.walk(Taken(), progress=lambda read, of: told.append((read, of)))

    ask(bench, act)
    assert told[0] == (50, None)
    assert told[-1][0] >= 60
    assert told[-1][1] == 60
