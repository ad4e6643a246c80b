"""
What the simulator's tests share: a clock that is set by hand, a world with one running job, and a client without sockets.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from guard.simulator import (
    DEFAULT_PROJECT,
    FLAVORS,
    CallLog,
    Knobs,
    LoopbackTransport,
    SimJob,
    Site,
    World,
    create_app,
)

NOW = 1_764_000_000.0
NOW_MS = int(NOW * 1000)
HOUR_MS = 3_600_000
P100 = FLAVORS["modelarts.vm.p100.large.eco"]
V2 = f"/v2/{DEFAULT_PROJECT}"
SEARCHES = f"{V2}/training-job-searches"
TWO_WORKSPACES = Site(project_id=DEFAULT_PROJECT, region="cn-north-4", workspaces={"0": "default", "b" * 32: "team-b"})


class HandClock:
    """
    A clock that only moves when it is told to.
    """

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


def world_of(*jobs: SimJob, clock: Callable[[], float] | None = None, site: Site = TWO_WORKSPACES, **knobs: Any) -> World:
    """
    A world with these jobs and knobs.
    """
    world = World(Knobs(**knobs), clock or HandClock(), site=site)
    for job in jobs:
        world.add(job)
    return world


def running(job_id: str = "job-1", **facts: Any) -> SimJob:
    """
    A job that was created two hours ago and has been running for one.
    """
    plan = {"create_time_ms": NOW_MS - 2 * HOUR_MS, "start_time_ms": NOW_MS - HOUR_MS, "flavor": P100}
    return SimJob(id=job_id, **{**plan, **facts})


def asking(world: World, talk: Callable[[httpx.AsyncClient], Awaitable[Any]], log: CallLog | None = None) -> Any:
    """
    Run *talk* with a client of the world's service.
    """

    async def run() -> Any:
        transport = LoopbackTransport(create_app(world, CallLog() if log is None else log))
        async with httpx.AsyncClient(transport=transport, base_url="http://modelarts.test") as client:
            return await talk(client)

    return asyncio.run(run())


def search(world: World, **body: Any) -> httpx.Response:
    """
    One search.
    """
    return asking(world, lambda client: client.post(SEARCHES, json=body))


def terminate(world: World, job_id: str = "job-1", log: CallLog | None = None) -> httpx.Response:
    """
    One termination.
    """
    url = f"{V2}/training-jobs/{job_id}/actions"
    return asking(world, lambda client: client.post(url, json={"action_type": "terminate"}), log)


def show(world: World, job_id: str = "job-1") -> httpx.Response:
    """
    One reading.
    """
    return asking(world, lambda client: client.get(f"{V2}/training-jobs/{job_id}"))
