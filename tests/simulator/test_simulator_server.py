"""
The service on a real socket: dropped connections, shutdown, and the vendor's SDK as its client.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time

import httpx
import pytest
from simulated import SEARCHES, V2, running, world_of

from guard.simulator import DEFAULT_PROJECT, CallLog, Fault, create_app, populate, serve

pytestmark = pytest.mark.server

URL = f"{V2}/training-jobs/job-1/actions"
TERMINATE = {"action_type": "terminate"}


@contextlib.asynccontextmanager
async def client_of(world, log=None):
    """
    A client of the world's service on a socket.
    """
    async with (
        await serve(create_app(world, CallLog() if log is None else log)) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("kind", "error", "carried_out"),
    [
        pytest.param("reset_before", httpx.ReadError, 0, id="reset-before"),
        pytest.param("reset_after", httpx.ReadError, 1, id="reset-after"),
        pytest.param("truncated", httpx.RemoteProtocolError, 1, id="truncated"),
    ],
)
def test_dropped_connections(kind, error, carried_out, caplog):
    """
    The connection is really dropped, nothing is logged as an error, and the next call is answered.
    """
    world = world_of(running(), faults=(Fault(operation="terminate", kind=kind, times=1),))
    log = CallLog()

    async def talk():
        async with client_of(world, log) as client:
            with pytest.raises(error):
                await client.post(URL, json=TERMINATE)
            return await client.post(URL, json=TERMINATE)

    assert asyncio.run(talk()).status_code == (409 if carried_out else 202)
    assert log.accepted_terminations() == ["job-1"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_date_is_the_worlds():
    """
    The one Date header is that of the world's clock, on a connection that is kept.
    """

    async def talk():
        async with client_of(world_of(running())) as client:
            return [await client.post(SEARCHES, json={}) for _ in range(2)]

    for response in asyncio.run(talk()):
        assert response.headers.get_list("date") == ["Mon, 24 Nov 2025 16:00:00 GMT"]


def test_a_client_that_gives_up_does_not_stop_the_termination():
    """
    A termination that is slow goes on after the client has closed its connection.
    """
    log = CallLog()
    world = world_of(running(), faults=(Fault(operation="terminate", kind="slow", seconds=0.1),))

    async def talk():
        async with client_of(world, log) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(URL, json=TERMINATE, timeout=0.02)
            while not log.entries:  # noqa: ASYNC110 (the log has no event)
                await asyncio.sleep(0.01)

    asyncio.run(talk())
    assert log.accepted_terminations() == ["job-1"]


@pytest.mark.parametrize("kind", ["reset_before", "slow"])
def test_dropping_a_connection_that_is_gone(kind, caplog):
    """
    A client that has left already makes a later drop, or the server's end, no error.
    """
    world = world_of(running(), latency_seconds=0.1, faults=(Fault(operation="show", kind=kind, seconds=0.2),))

    async def talk():
        async with client_of(world) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"{V2}/training-jobs/job-1", timeout=0.02)
            await asyncio.sleep(0.15)

    asyncio.run(talk())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_closing_drops_calls_under_way(caplog):
    """
    Closing does not wait for a slow call, and its port is free afterwards.
    """
    world = world_of(running(), faults=(Fault(operation="show", kind="slow", seconds=60),))

    async def talk():
        server = await serve(create_app(world, CallLog()))
        async with httpx.AsyncClient(base_url=server.url) as client:
            call = asyncio.create_task(client.get(f"{V2}/training-jobs/job-1"))
            await asyncio.sleep(0.1)
            await server.aclose()
            with pytest.raises(httpx.ReadError):
                await call
        again = await serve(create_app(world, CallLog()), port=server.port)
        with pytest.raises(OSError, match="in use"):
            await serve(create_app(world, CallLog()), port=server.port)
        await again.aclose()

    started = time.monotonic()
    asyncio.run(talk())
    assert time.monotonic() - started < 5
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


ORACLE = """
import json, sys
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkmodelarts.v1 import *

url, access, secret, project = sys.argv[1:]
credentials = BasicCredentials(access, secret, project)
client = ModelArtsClient.new_builder().with_credentials(credentials).with_endpoint(url).build()
running = Filter(key="phase", operator="in", value=["Running"])
try:
    page = client.list_training_jobs(
        ListTrainingJobsRequest(body=JobSearches(offset=0, limit=50, workspace_id="0", filters=[running]))
    )
except ClientRequestException as error:
    print(json.dumps({"status": error.status_code, "code": error.error_code}))
    raise SystemExit
first = page.items[0].metadata.id
shown = client.show_training_job_details(ShowTrainingJobDetailsRequest(training_job_id=first))
stopped = client.stop_training_job(
    StopTrainingJobRequest(training_job_id=first, body=JobActionType(action_type="terminate"))
)
flavors = client.show_training_job_flavors(ShowTrainingJobFlavorsRequest(flavor_type="GPU"))
try:
    client.stop_training_job(StopTrainingJobRequest(training_job_id=first, body=JobActionType(action_type="terminate")))
    again = None
except ClientRequestException as error:
    again = [error.status_code, error.error_code]
detail = shown.spec.resource.flavor_detail
print(json.dumps({
    "listed": [item.metadata.id for item in page.items],
    "total": page.total,
    "shown": [shown.metadata.id, shown.status.phase, shown.status.duration, detail.billing.code, detail.billing.unit_num],
    "stopped": [stopped.status.phase, stopped.status_code],
    "again": again,
    "flavors": flavors.total_count,
}))
"""


def ask_with_sdk(world, secret, home, log):
    """
    What the vendor's SDK sees in a process of its own, for it writes into the home folder when it is imported.
    """

    async def talk():
        async with await serve(create_app(world, log)) as server:
            command = [sys.executable, "-c", ORACLE, server.url, "AK1", secret, DEFAULT_PROJECT]
            environment = {**os.environ, "HOME": str(home), "no_proxy": "127.0.0.1"}
            done = await asyncio.to_thread(
                subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout.splitlines()[-1])

    return asyncio.run(talk())


def test_the_vendors_sdk_lists_shows_and_stops(tmp_path):
    """
    The vendor's SDK, its signatures checked, finds the running jobs, reads one, stops it once and reads the flavors.
    """
    world = world_of(clock=time.time, verify_signatures=True, access_keys={"AK1": "SK1"})
    job = running(create_time_ms=world.now_ms - 5000, start_time_ms=world.now_ms - 4000)
    populate(world, 40, seed=1, quirk_share=0)
    world.add(job)
    log = CallLog()
    seen = ask_with_sdk(world, "SK1", tmp_path, log)
    running_jobs = {each.id for each in world.live() if each.workspace == "0" and each.phase(world.now_ms) == "Running"}
    assert seen["listed"][0] == "job-1"
    assert running_jobs <= set(seen["listed"])
    assert seen["shown"][:2] == ["job-1", "Running"]
    assert 4000 <= seen["shown"][2] < 60_000
    assert seen["shown"][3:] == ["modelarts.vm.gpu.p100.eco", 1]
    assert seen["stopped"] == ["Terminating", 202]
    assert seen["again"] == [409, "ModelArts.2796"]
    assert seen["flavors"] == 5
    assert log.accepted_terminations() == ["job-1"]


def test_the_vendors_sdk_with_a_wrong_secret(tmp_path):
    """
    A wrong secret is 401 with the gateway's code, and nothing is done.
    """
    world = world_of(running(), clock=time.time, verify_signatures=True, access_keys={"AK1": "SK1"})
    log = CallLog()
    assert ask_with_sdk(world, "wrong", tmp_path, log) == {"status": 401, "code": "APIGW.0301"}
    assert [(entry.operation, entry.status) for entry in log.entries] == [("list", 401)]
