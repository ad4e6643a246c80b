"""
Faults on the way, latency, throttling and the knobs that set them, without sockets.
"""

import asyncio
import dataclasses

import httpx
import pytest
from simulated import NOW, SEARCHES, V2, HandClock, asking, running, search, show, terminate, world_of

from guard.simulator import CallLog, Fault, Knobs, changed

FATE = "accepted_terminations"


@pytest.mark.parametrize(
    ("fault", "status", "carried_out"),
    [
        pytest.param({"kind": "status", "status": 500, "code": "ModelArts.0010"}, 500, 0, id="status"),
        pytest.param({"kind": "status"}, 503, 0, id="status-by-default"),
        pytest.param({"kind": "slow", "seconds": 0.001}, 202, 1, id="slow"),
        pytest.param({"kind": "html", "status": 502}, 502, 0, id="html-of-a-proxy"),
        pytest.param({"kind": "html"}, 202, 1, id="html-instead-of-the-answer"),
        pytest.param({"kind": "empty", "status": 504}, 504, 0, id="empty-of-a-proxy"),
        pytest.param({"kind": "empty"}, 202, 1, id="empty-instead-of-the-answer"),
        pytest.param({"kind": "truncated"}, httpx.RemoteProtocolError, 1, id="truncated"),
        pytest.param({"kind": "reset_before"}, httpx.ReadError, 0, id="reset-before"),
        pytest.param({"kind": "reset_after"}, httpx.ReadError, 1, id="reset-after"),
    ],
)
def test_faults_of_a_termination(fault, status, carried_out):
    """
    Each kind gives its answer or drops the connection, and the record knows whether the job was stopped all the same.
    """
    world, log = world_of(running(), faults=(Fault(operation="terminate", **fault),)), CallLog()
    if isinstance(status, int):
        assert terminate(world, log=log).status_code == status
    else:
        with pytest.raises(status):
            terminate(world, log=log)
    assert world.fates()["job-1"][FATE] == carried_out
    assert log.accepted_terminations() == ["job-1"] * carried_out
    assert [entry.accepted for entry in log.entries] == [carried_out == 1]


def test_what_faulty_answers_hold():
    """
    A status fault holds code, message and Retry-After; an HTML page its body; an empty answer nothing.
    """
    told = Fault(operation="show", kind="status", status=429, code="APIGW.0308", message="slow down", retry_after=2.5)
    world = world_of(running(), faults=(told,))
    response = show(world)
    assert response.headers["retry-after"] == "2.5"
    assert {"error_msg": "slow down", "error_code": "APIGW.0308"}.items() <= response.json().items()
    world.knobs = Knobs(faults=(Fault(operation="show", kind="html", body="<p>no</p>"),))
    response = show(world)
    assert (response.text, response.headers["content-type"]) == ("<p>no</p>", "text/html; charset=utf-8")
    world.knobs = Knobs(faults=(Fault(operation="show", kind="empty", status=200),))
    assert show(world).content == b""


def statuses(world, *job_ids):
    """
    The statuses of readings by one client.
    """

    async def talk(client):
        return [(await client.get(f"{V2}/training-jobs/{job_id}")).status_code for job_id in job_ids]

    return asking(world, talk)


def test_a_fault_meets_its_operation_and_job_only():
    """
    A fault leaves other operations and other jobs alone.
    """
    world = world_of(running(), running("job-2"), faults=(Fault(operation="show", kind="status", job_id="job-2"),))
    assert statuses(world, "job-1", "job-2") == [200, 503]
    assert search(world).status_code == 200


def test_a_fault_fires_as_often_as_it_says():
    """
    A fault with times stops after them; other knobs do not start it again, a new tuple of faults does.
    """
    world = world_of(running(), faults=(Fault(operation="*", kind="status", times=2),))

    async def talk(client):
        seen = []
        for step in range(6):
            if step == 3:
                world.knobs = dataclasses.replace(world.knobs, seed=1)
            if step == 4:
                world.knobs = dataclasses.replace(world.knobs, faults=(Fault(operation="*", kind="status", times=1),))
            seen.append((await client.get(f"{V2}/training-jobs/job-1")).status_code)
        return seen

    assert asking(world, talk) == [503, 503, 200, 200, 503, 200]


def test_a_fault_by_chance_is_the_same_for_the_same_seed():
    """
    A rate between 0 and 1 meets some calls, and the same ones again.
    """

    def seen():
        fault = Fault(operation="show", kind="status", rate=0.5)
        return statuses(world_of(running(), faults=(fault,), seed=3), *["job-1"] * 20)

    assert seen() == seen()
    assert set(seen()) == {200, 503}


def test_a_slow_termination_goes_on_after_the_clients_timeout():
    """
    A client that gives up waiting does not keep the termination from being carried out.
    """
    log = CallLog()
    world = world_of(running(), faults=(Fault(operation="terminate", kind="slow", seconds=0.05),))

    async def talk(client):
        url = f"{V2}/training-jobs/job-1/actions"
        with pytest.raises(httpx.ReadTimeout):
            await client.post(url, json={"action_type": "terminate"}, timeout=0.005)
        assert log.entries == []
        while not log.entries:  # noqa: ASYNC110 (the log has no event)
            await asyncio.sleep(0)

    asking(world, talk, log)
    assert log.accepted_terminations() == ["job-1"]


def test_throttling():
    """
    Calls above the limit of one second are refused by the gateway with Retry-After, and the next second is free again.
    """
    clock = HandClock()
    world = world_of(running(), clock=clock, rate_limit_per_second=2)

    async def talk(client):
        first = [await client.post(SEARCHES, json={}) for _ in range(3)]
        clock.seconds += 1
        return [*first, await client.post(SEARCHES, json={})]

    answers = asking(world, talk)
    assert [each.status_code for each in answers] == [200, 200, 429, 200]
    assert (answers[2].json()["error_code"], answers[2].headers["retry-after"]) == ("APIGW.0308", "1")


def test_date_and_request_id_on_every_answer():
    """
    Each answer has the service's Date, wrong if its clock is, and a request id.
    """
    world = world_of(clock_offset_seconds=3600)
    for response in (show(world), asking(world, lambda client: client.get("/nowhere"))):
        assert response.headers["date"] == "Mon, 24 Nov 2025 17:00:00 GMT"
        assert len(response.headers["x-request-id"]) == 32


def test_the_log_holds_every_call():
    """
    The log has one entry per call with its operation, job, status and body; what is no API is logged as unknown.
    """
    world, log = world_of(running()), CallLog()

    async def talk(client):
        await client.post(SEARCHES, content=b"{}")
        await client.delete(f"{V2}/training-jobs/job-1")
        await client.post(f"{V2}/training-jobs/batch-delete", json={})
        return (await client.get("/_simulator/log")).json()

    entries = asking(world, talk, log)
    assert [(entry["operation"], entry["job_id"], entry["status"]) for entry in entries] == [
        ("list", None, 200),
        ("delete", "job-1", 202),
        ("unknown", None, 404),
    ]
    assert entries[0] | {"request": ""} == {
        "at": NOW,
        "operation": "list",
        "request": "",
        "job_id": None,
        "status": 200,
        "body": "{}",
        "accepted": False,
    }
    assert [entry.request for entry in log.of("delete")] == [f"DELETE {V2}/training-jobs/job-1"]
    assert show(world).status_code == 200


def test_another_project_is_refused():
    """
    A path with another project's id is 403 with ModelArts.0210.
    """
    response = asking(world_of(), lambda client: client.post(SEARCHES.replace("0123", "9999"), json={}))
    assert (response.status_code, response.json()["error_code"]) == (403, "ModelArts.0210")


def test_knobs_over_http():
    """
    Knobs can be read and changed while the service runs, and the fates can be read.
    """
    world = world_of(running())

    async def talk(client):
        fault = {"operation": "show", "kind": "status", "times": 1}
        put = await client.put("/_simulator/knobs", json={"duration": "zero", "faults": [fault]})
        return put.json(), (await client.get("/_simulator/fates")).json()

    knobs, fates = asking(world, talk)
    assert (knobs["duration"], knobs["faults"][0]["times"]) == ("zero", 1)
    assert world.knobs.faults == (Fault(operation="show", kind="status", times=1),)
    assert fates == world.fates()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(["duration"], id="no-object"),
        pytest.param({"colour": "red"}, id="no-such-knob"),
        pytest.param({"duration": "fast"}, id="no-such-reading"),
        pytest.param({"terminate_seconds": "5"}, id="text-for-a-number"),
        pytest.param({"terminate_seconds": -1}, id="negative-span"),
        pytest.param({"terminate_fails_rate": 1.5}, id="no-share"),
        pytest.param({"terminate_fails_rate": 0.6, "finishes_while_terminating_rate": 0.6}, id="shares-above-one"),
        pytest.param({"repeat_terminate": 200}, id="no-such-status"),
        pytest.param({"faults": [{"operation": "show"}]}, id="fault-without-kind"),
        pytest.param({"faults": [{"operation": "show", "kind": "fire"}]}, id="no-such-fault"),
        pytest.param({"faults": [{"operation": "sing", "kind": "slow"}]}, id="no-such-operation"),
    ],
)
def test_knobs_that_cannot_be(changes):
    """
    A wrong knob is refused with its name, and the knobs in force stay.
    """
    with pytest.raises(ValueError):
        changed(Knobs(), changes)
    world = world_of()
    response = asking(world, lambda client: client.put("/_simulator/knobs", json=changes))
    assert response.status_code == 400
    assert world.knobs == Knobs()
