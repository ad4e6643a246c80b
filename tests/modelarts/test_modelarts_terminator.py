"""
The one mutating call: sent once, whatever happens, and believed only when the service says that it accepted.
"""

import contextlib
from typing import Any

import httpx
import pytest
from calling import HOUR_MS, KEY, NOW_MS, Bench, HandClock, answer, ask, in_turn, refusal, sent, wire_job

from guard.errors import Conflict, JobGone, NeedsPerson, NoAnswer, Refused, Retryable, Unauthorized
from guard.modelarts import Credentials, ModelArtsTerminator
from guard.modelarts.credentials import AccessKey
from guard.ports import Terminator
from guard.simulator import DEFAULT_PROJECT, FLAVORS, Fault, Knobs, SimJob, World


def terminate(bench: Bench, job_id: str = "job-1") -> None:
    terminator: Terminator = ModelArtsTerminator(bench.service)
    ask(bench, lambda _: sent(terminator, job_id))


def world_with_a_job(clock: Any, **knobs: Any) -> World:
    world = World(Knobs(**knobs), clock)
    world.add(
        SimJob(
            id="job-1",
            create_time_ms=NOW_MS - HOUR_MS,
            start_time_ms=NOW_MS - HOUR_MS,
            flavor=FLAVORS["modelarts.vm.p100.large.eco"],
        )
    )
    return world


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(answer(wire_job(), 202), id="202"),
        pytest.param(answer(wire_job(), 200), id="200"),
        pytest.param(httpx.Response(202), id="empty"),
        pytest.param(httpx.Response(202, content=b'{"kind":'), id="truncated"),
    ],
)
def test_accepted(given):
    """
    202 and 200 are accepted, whatever the body, and exactly one request of known bytes was sent.
    """
    handle, requests = in_turn(given)
    terminate(Bench(handle), "a/../b")
    (request,) = requests
    assert (request.method, request.content) == ("POST", b'{"action_type": "terminate"}')
    assert request.url.raw_path == f"/v2/{DEFAULT_PROJECT}/training-jobs/a%2F..%2Fb/actions".encode()
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param(refusal(409, "ModelArts.2796"), Conflict, id="not-allowed"),
        pytest.param(refusal(409, "ModelArts.2878"), Conflict, id="changed"),
        pytest.param(refusal(400, "ModelArts.2775"), JobGone, id="gone"),
        pytest.param(refusal(400, "ModelArts.2838"), NeedsPerson, id="right"),
        pytest.param(refusal(400, "ModelArts.2812"), Refused, id="bug"),
        pytest.param(refusal(401, "ModelArts.0202"), Unauthorized, id="token"),
        pytest.param(refusal(403, "ModelArts.0108"), NeedsPerson, id="forbidden"),
        pytest.param(refusal(429, "APIGW.0308"), Retryable, id="throttled"),
        pytest.param(refusal(500, "ModelArts.0010"), Retryable, id="fault"),
        pytest.param(httpx.Response(307, headers={"location": "https://evil.test"}), NeedsPerson, id="redirect"),
        pytest.param(httpx.Response(200, content=b"<html>portal"), NoAnswer, id="html"),
        pytest.param(httpx.Response(204), NoAnswer, id="other-success"),
        pytest.param(httpx.ConnectError("no"), NoAnswer, id="no-connection"),
        pytest.param(httpx.ReadTimeout("no"), NoAnswer, id="timeout"),
    ],
)
def test_failures_are_raised_after_one_request(given, kind):
    """
    Nothing is repeated in here: what to do after a failure is the kill protocol's to decide.
    """
    handle, requests = in_turn(given)
    bench = Bench(handle)
    with pytest.raises(kind):
        terminate(bench)
    assert len(requests) == 1
    assert bench.clock.slept == []
    assert [operation for operation, _, _ in bench.seen] == ["terminate"]


@pytest.mark.parametrize(
    ("slow_s", "calls"), [pytest.param(5.0, 1, id="on-the-limit"), pytest.param(5.1, 0, id="just-over")]
)
def test_what_allowed_the_call_does_not_get_old_while_credentials_are_fetched(slow_s, calls):
    """
    A pause or a lost lease meanwhile would not be seen, so nothing is sent; the next attempt, with credentials at hand, is.
    """
    handle, requests = in_turn(answer(wire_job(), 202), answer(wire_job(), 202))
    clock = HandClock()

    async def fetch() -> AccessKey:
        clock.seconds += slow_s
        return KEY

    bench = Bench(handle, clock=clock, credentials=Credentials(fetch, clock.now, identity="slow"))

    async def act(bench: Bench) -> None:
        terminator = ModelArtsTerminator(bench.service)
        with contextlib.nullcontext() if calls else pytest.raises(Retryable, match="nothing was sent"):
            await sent(terminator, "job-1")
        assert len(requests) == calls
        await sent(terminator, "job-1")
        assert len(requests) == calls + 1

    ask(bench, act)


@pytest.mark.parametrize("error", [NoAnswer("token: silence"), Retryable("token: 503", status=503, retry_after=7.0)])
def test_credentials_that_cannot_be_had(error):
    """
    A failure to get credentials is told from one of the call, which was not sent: it carries no status.
    """
    handle, requests = in_turn(answer(wire_job(), 202))
    clock = HandClock()

    async def fetch() -> AccessKey:
        raise error

    with pytest.raises(Retryable, match="nothing was sent: token") as raised:
        terminate(Bench(handle, clock=clock, credentials=Credentials(fetch, clock.now, identity="none")))
    assert (raised.value.status, raised.value.retry_after) == (None, error.retry_after)
    assert requests == []


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_unusable_ids(job_id):
    """
    An id that a path cannot hold is refused before any request.
    """
    handle, requests = in_turn(answer({}, 202))
    with pytest.raises(Refused):
        terminate(Bench(handle), job_id)
    assert requests == []


@pytest.mark.parametrize(("kind", "accepted"), [("reset_before", 0), ("reset_after", 1)])
def test_a_dropped_connection_says_nothing(kind, accepted):
    """
    Whether the call was carried out cannot be told from a reset, and no second call is made to find out.
    """
    fault = Fault(operation="terminate", kind=kind)
    bench = Bench(lambda request: httpx.Response(500))
    bench = Bench(world_with_a_job(bench.clock.now, faults=(fault,)))
    with pytest.raises(NoAnswer):
        terminate(bench)
    assert len(bench.log.of("terminate")) == 1
    assert len(bench.log.accepted_terminations()) == accepted


def test_against_the_simulator():
    """
    A termination is accepted, the job is then Terminating, and a second one conflicts.
    """
    probe = Bench(lambda request: httpx.Response(500))
    bench = Bench(world_with_a_job(probe.clock.now))

    async def act(bench: Bench) -> None:
        terminator = ModelArtsTerminator(bench.service)
        await sent(terminator, "job-1")
        assert (await bench.client.read("job-1")).phase == "Terminating"
        with pytest.raises(Conflict):
            await sent(terminator, "job-1")

    ask(bench, act)
    assert bench.log.accepted_terminations() == ["job-1"]
