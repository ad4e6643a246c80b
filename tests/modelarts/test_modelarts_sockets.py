"""
The client over real sockets, where connections are cut and bodies end early.
"""

import asyncio
from typing import Any

import pytest
from calling import KEY, NOW_MS, HandClock, Taken, fixed, sent

from guard.errors import NoAnswer
from guard.modelarts import Exchange, ModelArtsClient, ModelArtsTerminator, Patience, Service, Target, http_client
from guard.simulator import DEFAULT_PROJECT, FLAVORS, CallLog, Fault, Knobs, SimJob, World, create_app, serve


async def against(knobs: Knobs, act: Any) -> CallLog:
    clock, log = HandClock(), CallLog()
    world = World(knobs, clock.now)
    world.add(SimJob(id="job-1", create_time_ms=NOW_MS - 1000, start_time_ms=NOW_MS, flavor=FLAVORS["modelarts.vm.cpu.2u"]))
    async with await serve(create_app(world, log)) as server, http_client() as http:
        exchange = Exchange(http, clock)
        service = Service(
            exchange,
            fixed(clock, KEY),
            endpoint=server.url,
            project_id=DEFAULT_PROJECT,
            patience=Patience(draw=lambda: 1.0),
        )
        target = Target(name="lab", region="cn-north-4", project_id=DEFAULT_PROJECT)
        await act(ModelArtsClient(target, service), ModelArtsTerminator(service))
    return log


@pytest.mark.server
def test_a_signed_walk_and_a_termination():
    """
    What is signed is what arrives: the simulator's own check of the signature passes over a real connection.
    """

    async def act(client: ModelArtsClient, terminator: ModelArtsTerminator) -> None:
        taken = Taken()
        assert (await client.walk(taken)).complete
        assert taken.ids == ["job-1"]
        await sent(terminator, "job-1")
        assert (await client.read("job-1")).phase == "Terminating"

    keys = {KEY.keys.access: KEY.keys.secret}
    log = asyncio.run(against(Knobs(verify_signatures=True, access_keys=keys), act))
    assert log.accepted_terminations() == ["job-1"]


@pytest.mark.server
@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("reset_before", 0), ("reset_after", 1), ("truncated", 1)],
)
def test_cut_connections(kind, accepted):
    """
    A termination whose connection is cut is sent once, and its outcome is unknown; a read is repeated and then good.
    """

    async def act(client: ModelArtsClient, terminator: ModelArtsTerminator) -> None:
        with pytest.raises(NoAnswer):
            await sent(terminator, "job-1")
        assert (await client.read("job-1")).key.job_id == "job-1"

    faults = (Fault(operation="terminate", kind=kind), Fault(operation="show", kind=kind, times=2))
    log = asyncio.run(against(Knobs(faults=faults), act))
    assert len(log.of("terminate")) == 1
    assert len(log.accepted_terminations()) == accepted
    assert len(log.of("show")) == 3


@pytest.mark.server
def test_a_service_that_cuts_every_connection():
    """
    A read of which every attempt is cut ends without an answer after four of them, each on a connection of its own.
    """

    async def act(client: ModelArtsClient, terminator: ModelArtsTerminator) -> None:
        with pytest.raises(NoAnswer):
            await client.read("job-1")

    log = asyncio.run(against(Knobs(faults=(Fault(operation="*", kind="reset_before"),)), act))
    assert len(log.of("show")) == 4
