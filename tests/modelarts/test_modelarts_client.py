"""
The client's calls: paths, repetition, service time, errors, workspaces and flavors.
"""

import asyncio
import json
from typing import Any

import httpx
import pytest
from calling import (
    HOUR_MS,
    NOW,
    NOW_MS,
    WORLD_KEYS,
    Bench,
    HandClock,
    answer,
    ask,
    fixed,
    in_turn,
    refusal,
    walk_once,
    walked,
    wire_job,
)

from guard.core.facts import UNREADABLE
from guard.core.lanes import Lane
from guard.errors import BadInput, JobGone, NeedsPerson, NoAnswer, Refused, Retryable, TargetError, Unauthorized
from guard.modelarts import Credentials, Exchange, ModelArtsClient, Patience, endpoint, http_client
from guard.modelarts.address import address_of
from guard.modelarts.credentials import AccessKey, IamToken
from guard.modelarts.endpoints import iam_endpoint
from guard.modelarts.exchange import TIMEOUT, unobserved
from guard.modelarts.messages import Call
from guard.modelarts.signing import KeyPair
from guard.ports import JobSource
from guard.simulator import DEFAULT_PROJECT, FLAVORS, POOL_FLAVORS, QUIRKS, Fault, Knobs, SimJob, Site, Task, World

P100 = FLAVORS["modelarts.vm.p100.large.eco"]
SITE = Site(project_id=DEFAULT_PROJECT, region="cn-north-4", workspaces={"0": "default", "w1": "vision", "w2": "speech"})
JOB_URL = f"https://modelarts.test/v2/{DEFAULT_PROJECT}/training-jobs"


def world_of(*jobs: SimJob, clock: HandClock | None = None, **knobs: Any) -> World:
    world = World(Knobs(**knobs), (clock or HandClock()).now, site=SITE)
    for job in jobs:
        world.add(job)
    return world


def sim_job(job_id: str = "job-1", **facts: Any) -> SimJob:
    plan: dict[str, Any] = {"create_time_ms": NOW_MS - 2 * HOUR_MS, "start_time_ms": NOW_MS - HOUR_MS, "flavor": P100}
    return SimJob(id=job_id, **{**plan, **facts})


def read(bench: Bench, job_id: str = "job-1") -> Any:
    return ask(bench, lambda bench: bench.client.read(job_id))


def test_the_port():
    """
    The client is a source of jobs and has no call that changes one.
    """
    source: JobSource = Bench(world_of()).client
    assert source.target == "lab"
    assert isinstance(source, ModelArtsClient)
    verbs = ("terminate", "stop", "delete", "restart", "act", "update", "create", "post", "send")
    assert not [name for name in dir(source) if any(verb in name.lower() for verb in verbs)]


def test_a_job_is_read():
    """
    A job's facts come with the moment at which they were read, in service time.
    """
    clock = HandClock()
    job = read(Bench(world_of(sim_job(), clock_offset_seconds=90.0), clock=clock))
    assert (job.key.job_id, job.target, job.phase, job.duration_ms) == ("job-1", "lab", "Running", HOUR_MS)
    assert job.read_at_ms == NOW_MS + 90_000


@pytest.mark.parametrize(
    ("job_id", "path"),
    [
        ("../x", "..%2Fx"),
        ("a/b?c=d#e", "a%2Fb%3Fc%3Dd%23e"),
        ("a b", "a%20b"),
        ("%2e%2e", "%252e%252e"),
        ("作业", "%E4%BD%9C%E4%B8%9A"),
        ("a\r\nb", "a%0D%0Ab"),
    ],
)
def test_ids_cannot_lead_elsewhere(job_id, path):
    """
    An id is one segment of the path, whatever it holds.
    """
    handle, requests = in_turn(answer(wire_job(job_id)))
    assert read(Bench(handle), job_id).key.job_id == job_id
    assert requests[0].url.raw_path == f"/v2/{DEFAULT_PROJECT}/training-jobs/{path}".encode()
    assert requests[0].method == "GET"


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_unusable_ids_are_not_sent(job_id):
    """
    An id that a path cannot hold is refused before any request.
    """
    handle, requests = in_turn(answer(wire_job()))
    with pytest.raises(Refused):
        read(Bench(handle), job_id)
    assert requests == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(wire_job("job-2"), "the answer is about job 'job-2'", id="another-job"),
        pytest.param({}, "the answer names no job", id="no-job"),
        pytest.param({"metadata": {"id": ["job-1"]}}, "the answer names no job", id="id-no-text"),
    ],
)
def test_an_answer_about_something_else(given, words):
    """
    Facts of another job are never taken for those that were asked for.
    """
    handle, requests = in_turn(answer(given))
    with pytest.raises(Refused, match=words):
        read(Bench(handle))
    assert len(requests) == 1


def test_a_job_that_is_gone():
    """
    HTTP 400 with ModelArts.2775 says that there is no such job.
    """
    with pytest.raises(JobGone):
        read(Bench(world_of()))


BROKEN = [
    pytest.param(httpx.Response(200, content=b'{"kind":"job","meta'), Retryable, id="truncated"),
    pytest.param(httpx.Response(200, content=b"<html>portal</html>"), Retryable, id="html"),
    pytest.param(httpx.Response(200, content=b""), Retryable, id="empty"),
    pytest.param(httpx.Response(200, content=b"[]"), Retryable, id="list"),
    pytest.param(httpx.DecodingError("no"), NoAnswer, id="broken-gzip"),
    pytest.param(httpx.Response(502, content=b"<html>"), Retryable, id="proxy"),
    pytest.param(refusal(500, "ModelArts.0010"), Retryable, id="fault"),
    pytest.param(refusal(429, "ModelArts.2799"), Retryable, id="throttled"),
    pytest.param(httpx.ConnectError("no"), NoAnswer, id="no-connection"),
    pytest.param(httpx.ReadTimeout("no"), NoAnswer, id="timeout"),
    pytest.param(httpx.RemoteProtocolError("no"), NoAnswer, id="protocol"),
    pytest.param(httpx.PoolTimeout("no"), NoAnswer, id="pool"),
]


@pytest.mark.parametrize(("given", "kind"), BROKEN)
def test_reads_are_repeated_with_patience(given, kind):
    """
    What may pass is tried four times, with waits that double, and then raised; a throttled read is tried ten times.
    """
    handle, requests = in_turn(given)
    bench = Bench(handle)
    with pytest.raises(kind):
        read(bench)
    waits = [0.5, 1.0, 2.0]
    if getattr(given, "status_code", None) == 429:
        waits += [4.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    assert [each for each in bench.clock.slept if each in waits] == waits
    assert len(requests) == len(waits) + 1


@pytest.mark.parametrize(("given", "kind"), BROKEN)
def test_one_good_answer_is_enough(given, kind):
    """
    A read that goes well at the second attempt is as good as at the first.
    """
    handle, _ = in_turn(given, answer(wire_job()))
    assert read(Bench(handle)).key.job_id == "job-1"
    assert issubclass(kind, TargetError)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param(refusal(403, "ModelArts.0108"), NeedsPerson, id="right"),
        pytest.param(refusal(400, "ModelArts.2788"), Refused, id="bug"),
        pytest.param(httpx.Response(302, headers={"location": "https://evil.test/"}), NeedsPerson, id="redirect"),
        pytest.param(httpx.Response(404, content=b"<html>"), NeedsPerson, id="not-found"),
        pytest.param(httpx.Response(204), Refused, id="no-content"),
    ],
)
def test_what_repeating_does_not_change(given, kind):
    """
    A refusal is raised at once, and a redirect is not followed.
    """
    handle, requests = in_turn(given)
    with pytest.raises(kind):
        read(Bench(handle))
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("asked", "slept"),
    [
        pytest.param("7", [7.5], id="seconds"),
        pytest.param("Mon, 24 Nov 2025 16:00:30 GMT", [30.5], id="date"),
        pytest.param("60", [60.5], id="on-the-limit"),
        pytest.param("61", None, id="too-long"),
        pytest.param("soon", [0.5], id="nonsense"),
    ],
)
def test_retry_after_is_honoured(asked, slept):
    """
    The service's own wait is kept, up to a minute; a longer one is told to the caller.
    """
    throttled = httpx.Response(429, headers={"retry-after": asked}, content=b"{}")
    handle, _ = in_turn(throttled, answer(wire_job()))
    bench = Bench(handle)
    if slept is None:
        with pytest.raises(Retryable) as raised:
            read(bench)
        assert (raised.value.retry_after, bench.clock.slept) == (61.0, [])
    else:
        read(bench)
        assert bench.clock.slept == slept


def test_waits_are_drawn_below_their_limit():
    """
    The waits are full jitter: anything from none to the doubling limit, which ends at eight seconds.
    """
    assert [Patience(attempts=9, draw=lambda: 1.0).wait(attempt, None) for attempt in range(1, 9)] == [
        *(0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)
    ]
    assert Patience(draw=lambda: 0.0).wait(1, None) == 0.0
    assert 0.0 <= (Patience().wait(1, None) or 0.0) <= 0.5


class Rotating:
    """
    Credentials that give a new key each time they are fetched.
    """

    def __init__(self, clock: HandClock) -> None:
        self.fetched = 0
        self.credentials = Credentials(self.fetch, clock.now, identity="rotating")

    async def fetch(self) -> AccessKey:
        self.fetched += 1
        return AccessKey(keys=KeyPair(access=f"AK{self.fetched}", secret="SKexampleSecret"))


@pytest.mark.parametrize("code", ["ModelArts.0202", "APIGW.0301", "APIGW.0307", ""])
def test_refused_credentials_are_renewed_once(code):
    """
    After a 401 the credentials are renewed and the read is repeated; a second 401 is raised, without waiting.
    """
    clock = HandClock()
    rotating = Rotating(clock)
    handle, requests = in_turn(refusal(401, code), answer(wire_job()), refusal(401, code))
    bench = Bench(handle, clock=clock, credentials=rotating.credentials)

    async def act(bench: Bench) -> None:
        await bench.client.read("job-1")
        assert [request.headers["authorization"][:26] for request in requests] == [
            "SDK-HMAC-SHA256 Access=AK1",
            "SDK-HMAC-SHA256 Access=AK2",
        ]
        with pytest.raises(Unauthorized):
            await bench.client.read("job-1")
        await bench.client.renew()

    ask(bench, act)
    assert (rotating.fetched, len(requests), clock.slept) == (4, 4, [])


def test_a_suspended_account_is_not_renewed():
    """
    A 401 that names the account is for a person, so no credentials are renewed.
    """
    clock = HandClock()
    rotating = Rotating(clock)
    handle, requests = in_turn(refusal(401, "ModelArts.6201"))
    with pytest.raises(NeedsPerson):
        read(Bench(handle, clock=clock, credentials=rotating.credentials))
    assert (rotating.fetched, len(requests)) == (1, 1)


def test_credentials_that_cannot_be_fetched():
    """
    If the credentials' own service is silent, nothing was sent, so the call is not one of unknown outcome.
    """

    async def silent() -> AccessKey:
        raise NoAnswer("no answer from iam.test")

    clock = HandClock()
    handle, requests = in_turn(answer(wire_job()))
    with pytest.raises(Retryable, match="nothing was sent"):
        read(Bench(handle, clock=clock, credentials=Credentials(silent, clock.now, identity="x")))
    assert (requests, len(clock.slept)) == ([], 3)


def test_secrets_stay_out_of_errors():
    """
    Neither an echo of the service nor a library's complaint shows a token.
    """
    clock = HandClock()
    for given in (refusal(403, "APIGW.0302", "token TOKENSECRET"), httpx.LocalProtocolError("header TOKENSECRET")):
        handle, requests = in_turn(given)
        with pytest.raises(TargetError) as raised:
            read(Bench(handle, clock=clock, credentials=fixed(clock, IamToken(token="TOKENSECRET"))))
        assert requests[0].headers["x-auth-token"] == "TOKENSECRET"
        assert "authorization" not in requests[0].headers
        assert "TOKENSECRET" not in f"{raised.value!r}{raised.value}"


@pytest.mark.parametrize("ahead", [0.0, 400.0, -400.0])
def test_service_time(ahead):
    """
    Service time is local time and the median offset of the answers' dates.
    """
    clock = HandClock()

    async def act(bench: Bench) -> None:
        assert (bench.client.offset_s(), bench.client.now_ms()) == (None, NOW_MS)
        await bench.client.read("job-1")
        assert bench.client.offset_s() == ahead
        clock.seconds += 10
        assert bench.client.now_ms() == NOW_MS + 10_000 + int(ahead * 1000)

    ask(Bench(world_of(sim_job(), clock_offset_seconds=ahead, clock=clock), clock=clock), act)


class SetClock(HandClock):
    """
    A clock that can be set, which its steady part does not follow.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_by = 0.0

    def now(self) -> float:
        return self.seconds + self.set_by


def test_a_clock_that_is_set_does_not_move_service_time():
    """
    When somebody sets this machine's clock, service time goes on as before and the offset tells of it at once.
    """
    clock = SetClock()

    async def act(bench: Bench) -> None:
        await bench.client.read("job-1")
        clock.set_by = 3_600.0
        assert (bench.client.now_ms(), bench.client.offset_s()) == (NOW_MS, -3_600.0)

    ask(Bench(world_of(sim_job(), clock=clock), clock=clock), act)


def test_one_wrong_date_changes_nothing():
    """
    The median of the newest answers, errors among them, tells which agree, and an unreadable date is no sample.
    """
    clock = HandClock()
    dates = ["Mon, 24 Nov 2025 16:00:00 GMT", "Mon, 24 Nov 2031 16:00:00 GMT", "now", "Mon, 24 Nov 2025 16:00:00 GMT"]
    handle, _ = in_turn(*(answer(wire_job(), date=date) for date in dates))

    async def act(bench: Bench) -> None:
        for _ in range(4):
            await bench.client.read("job-1")
        assert bench.client.offset_s() == 0.0

    ask(Bench(handle, clock=clock), act)


def test_service_time_never_runs_ahead():
    """
    An answer's date is older than its receipt, so a slow answer leaves service time behind and never ahead.
    """
    clock = HandClock()

    def slow(request: httpx.Request) -> httpx.Response:
        clock.seconds += 10
        return answer(wire_job(), date="Mon, 24 Nov 2025 16:00:05 GMT")

    bench = Bench(slow, clock=clock)
    ask(bench, lambda bench: bench.client.read("job-1", lane=Lane.DISCOVERY))
    assert bench.client.offset_s() == -5.0
    assert bench.seen == [("show", "200", 10.0)]


def test_service_time_lags_by_less_with_every_answer():
    """
    Dates are cut to whole seconds; the answer that was received soonest after a full second tells the most.
    """
    clock = HandClock()

    async def act(bench: Bench) -> None:
        offsets = []
        for pause in (0.75, 0.5, 0.7, 0.3, 0.8):
            clock.seconds += pause
            await bench.client.read("job-1")
            offsets.append(round(bench.client.offset_s() or 0.0, 6))
        assert offsets == [-0.75, -0.25, -0.25, -0.25, -0.05]

    ask(Bench(world_of(sim_job(), clock=clock), clock=clock), act)


def test_signatures_use_service_time():
    """
    A machine whose clock is 20 minutes wrong is refused once, learns the time, and is let in.
    """
    clock = HandClock()
    world = world_of(sim_job(), clock=clock, verify_signatures=True, access_keys=WORLD_KEYS, clock_offset_seconds=1200.0)
    bench = Bench(world, clock=clock)
    assert read(bench).key.job_id == "job-1"
    assert [entry.status for entry in bench.log.of("show")] == [401, 200]


def test_the_observer_sees_every_request():
    """
    Each request is told with its operation and status, also those that got no answer.
    """
    handle, _ = in_turn(httpx.ReadTimeout("no"), refusal(429, "ModelArts.2799"), answer(wire_job()))
    bench = Bench(handle)
    read(bench)
    assert [(operation, code) for operation, code, _ in bench.seen] == [
        ("show", "no_answer"),
        ("show", "429"),
        ("show", "200"),
    ]
    unobserved("show", "200", 0.1)


def test_everything_is_finite():
    """
    No request waits without limit, follows a redirect or reads the environment.
    """
    assert all(span is not None for span in (TIMEOUT.connect, TIMEOUT.read, TIMEOUT.write, TIMEOUT.pool))
    client = http_client(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
    assert (client.follow_redirects, client.trust_env) == (False, False)


class Hanging(httpx.AsyncBaseTransport):
    """
    A network in which no answer ever ends.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError


def test_an_answer_that_never_ends():
    """
    A whole request has an end of its own, whatever trickles in meanwhile.
    """
    exchange = Exchange(http_client(transport=Hanging()), HandClock(), whole_s=0.001)
    with pytest.raises(NoAnswer, match="TimeoutError"):
        asyncio.run(exchange.send("show", Call("GET", address_of(httpx.URL("https://modelarts.test")), {})))


def test_a_cancelled_request_stays_cancelled():
    """
    A shutdown is not taken for a call without an answer.
    """

    async def run() -> None:
        exchange = Exchange(http_client(transport=Hanging()), HandClock())
        task = asyncio.create_task(exchange.send("show", Call("GET", address_of(httpx.URL("https://modelarts.test")), {})))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_quirks_hide_no_other_job(quirk):
    """
    Whatever is odd about one job, the walk is complete and the others are there.
    """
    odd = sim_job("odd", quirk=quirk, tasks=(Task(role="worker", flavor=P100),), kind="hetero_job")
    inventory, taken = walked(Bench(world_of(sim_job("a"), odd, sim_job("z"))))
    assert inventory.complete
    assert {"a", "z"} <= set(taken.ids)
    assert len(taken.ids) == inventory.jobs
    assert inventory.jobs + inventory.unreadable == 3


def test_all_workspaces():
    """
    Without a list in the settings, the account's own list says which workspaces are walked.
    """
    world = world_of(*(sim_job(f"in-{workspace}", workspace=workspace) for workspace in SITE.workspaces))
    inventory, taken = walked(Bench(world, target={}))
    assert {job.key.job_id: job.workspace for job in taken.jobs} == {"in-0": "0", "in-w1": "w1", "in-w2": "w2"}
    assert inventory.complete
    assert (inventory.target, inventory.started_at_ms, inventory.finished_at_ms) == ("lab", NOW_MS, NOW_MS)


def test_a_workspace_that_fails():
    """
    One workspace that cannot be read makes the inventory incomplete and names it; the rest is read.
    """
    world = world_of(sim_job("a"), sim_job("b", workspace="w1"))
    inventory, taken = walked(Bench(world, target={"workspaces": ("0", "nowhere", "w1")}))
    assert taken.ids == ["a", "b"]
    assert not inventory.complete
    assert "workspace 'nowhere'" in inventory.doubt
    assert "ModelArts.2891" in inventory.doubt


def test_when_every_workspace_fails():
    """
    A target of which nothing could be read is an error.
    """
    fault = Fault(operation="list", kind="status", status=403, code="ModelArts.0108")
    with pytest.raises(NeedsPerson):
        walked(Bench(world_of(sim_job(), faults=(fault,)), target={}))


def test_a_first_walk_begins_in_service_time():
    """
    The begin of a walk is in service time although nothing was known of it when the walk began.
    """
    inventory, _ = walked(Bench(world_of(sim_job(), clock_offset_seconds=300.0)))
    assert (inventory.started_at_ms, inventory.finished_at_ms) == (NOW_MS + 300_000, NOW_MS + 300_000)


def test_a_refusal_that_is_not_about_the_filter():
    """
    Only a refused filter is left out; any other refusal of the list is raised.
    """
    handle, requests = in_turn(refusal(400, "ModelArts.2764"))
    with pytest.raises(Refused):
        walked(Bench(handle))
    assert len(requests) == 1


def test_workspaces_that_cannot_be_listed():
    """
    Once listed, workspaces are walked on while the list fails, with that doubt; without any list the walk fails.
    """
    world = world_of(sim_job("a", workspace="w1"))
    broken = Knobs(faults=(Fault(operation="workspaces", kind="status", status=403, code="ModelArts.0108"),))

    async def act(bench: Bench) -> None:
        assert (await walk_once(bench))[0].complete
        world.knobs = broken
        inventory, taken = await walk_once(bench)
        assert (taken.ids, inventory.complete) == (["a"], False)
        assert "workspaces were not listed anew" in inventory.doubt

    ask(Bench(world, target={}), act)
    with pytest.raises(NeedsPerson):
        walked(Bench(world, target={}))


@pytest.mark.parametrize("means", ["page", "item"])
def test_many_workspaces(means):
    """
    A list of workspaces that is longer than a page is read to its end.
    """
    many = {f"w{number:03}": "x" for number in range(230)}
    site = Site(project_id=DEFAULT_PROJECT, region="cn-north-4", workspaces=many)
    world = World(Knobs(offset_means=means), HandClock().now, site=site)
    assert {each.id for each in ask(Bench(world), lambda bench: bench.client.workspaces())} == set(many)


def test_a_list_of_workspaces_without_end():
    """
    A list that cannot be read to its end is refused, because jobs would be missed in silence.
    """
    rows = {"workspaces": [{"id": f"w{number}"} for number in range(100)]}
    handle, _ = in_turn(answer(rows))
    with pytest.raises(Refused, match="whatever the offset"):
        ask(Bench(handle), lambda bench: bench.client.workspaces())


def test_a_flavor_that_only_the_job_itself_shows():
    """
    A listed job without its flavor is read once, and what that gave is remembered for the next walks.
    """
    listed = wire_job(spec__resource__flavor_detail=None, spec__resource__node_count=5)
    requests: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request.method)
        return answer({"items": [listed]} if request.method == "POST" else wire_job())

    async def act(bench: Bench) -> None:
        for _ in range(3):
            (job,) = (await walk_once(bench))[1].jobs
            (resource,) = job.resources
            assert (resource.billing_code, resource.node_count, resource.source) == ("modelarts.vm.gpu.p100.eco", 5, "job")

    ask(Bench(handle), act)
    assert requests == ["POST", "GET", "POST", "POST"]


def test_a_list_that_hides_a_jobs_tasks():
    """
    Where the list shows other resources than the job itself, those of the job count.
    """
    bare = wire_job(spec__resource__flavor_detail=None)
    task = {"flavor_id": "f", "flavor_type": "CPU", "billing": {"code": "c", "unit_num": 1}}
    whole = wire_job(tasks=[{"role": "learner", "task_resource": task}, {"role": "worker", "task_resource": task}])

    def handle(request: httpx.Request) -> httpx.Response:
        return answer({"items": [bare]} if request.method == "POST" else whole)

    (job,) = walked(Bench(handle))[1].jobs
    assert [(each.role, each.billing_code) for each in job.resources] == [("learner", "c"), ("worker", "c")]


def test_a_flavor_that_the_table_knows():
    """
    A job that shows no flavor at all takes the table's row, which is read once for many jobs.
    """
    world = world_of(*(sim_job(f"job-{number}", quirk="no-flavor-detail") for number in range(3)))
    bench = Bench(world)

    async def act(bench: Bench) -> Any:
        await walk_once(bench)
        await bench.client.read("job-0")
        return (await walk_once(bench))[1].jobs

    for job in ask(bench, act):
        (resource,) = job.resources
        assert (resource.billing_code, resource.source) == ("modelarts.vm.gpu.p100.eco", "flavor table")
    assert (len(bench.log.of("flavors")), len(bench.log.of("show"))) == (1, 4)


def test_the_table_is_read_anew_each_hour():
    """
    The flavor table is kept for an hour, and after a failure it is tried again after a minute.
    """
    clock = HandClock()
    fault = Fault(operation="flavors", kind="status", status=403, code="ModelArts.0108", times=1)
    bench = Bench(world_of(sim_job(quirk="no-flavor-detail"), clock=clock, faults=(fault,)), clock=clock)

    async def act(bench: Bench) -> None:
        for wait_s, code, asked in (
            (0, UNREADABLE, 1),
            (59, UNREADABLE, 1),
            (1, P100.code, 2),
            (3599, P100.code, 2),
            (1, P100.code, 3),
        ):
            clock.seconds += wait_s
            assert (await bench.client.read("job-1")).resources[0].billing_code == code
            assert len(bench.log.of("flavors")) == asked

    ask(bench, act)


def test_a_pool_job_stays_unreadable_without_a_row():
    """
    A pool's job without a row of its pool keeps its facts unreadable instead of taking another pool's.
    """
    flavor = POOL_FLAVORS["modelarts.pool.visual.8xlarge"]
    world = world_of(sim_job(flavor=flavor, pool_id="pool-1", quirk="24-pool-without-flavor-detail"))
    (job,) = walked(Bench(world))[1].jobs
    assert (job.resources[0].billing_code, job.resources[0].cards_per_node) == (UNREADABLE, UNREADABLE)


def test_look_ups_are_bounded():
    """
    A walk reads at most 50 bare jobs on their own and the next walk goes on, and a failure ends the look-ups of a walk.
    """
    world = world_of(*(sim_job(f"job-{number:03}", quirk="no-flavor-detail") for number in range(60)))
    bench = Bench(world)

    async def act(bench: Bench) -> None:
        assert len((await walk_once(bench))[1].jobs) == 60
        assert len(bench.log.of("show")) == 50
        await walk_once(bench)
        assert len(bench.log.of("show")) == 60
        world.add(sim_job("late-1", quirk="no-flavor-detail"))
        world.add(sim_job("late-2", quirk="no-flavor-detail"))
        world.knobs = Knobs(faults=(Fault(operation="show", kind="status", status=403, code="ModelArts.0108"),))
        assert len((await walk_once(bench))[1].jobs) == 62
        assert len(bench.log.of("show")) == 61

    ask(bench, act)


def test_the_list_asks_for_live_jobs_in_a_stable_order():
    """
    The search names the live phases, the workspace and the ascending order on which the walk rests.
    """
    bench = Bench(world_of(sim_job()))
    walked(bench)
    assert json.loads(bench.log.of("list")[0].body) == {
        "offset": 0,
        "limit": 50,
        "sort_by": "create_time",
        "order": "asc",
        "workspace_id": "0",
        "filters": [{"key": "phase", "operator": "in", "value": ["Creating", "Pending", "Running", "Terminating"]}],
    }


def test_endpoints():
    """
    A region's endpoint follows from its name, and another may be given.
    """
    assert endpoint("cn-north-4") == "https://modelarts.cn-north-4.myhuaweicloud.com"
    assert iam_endpoint("cn-north-4") == "https://iam.cn-north-4.myhuaweicloud.com"
    assert endpoint("eu-west-101", "https://modelarts.eu-west-101.myhuaweicloud.eu/") == (
        "https://modelarts.eu-west-101.myhuaweicloud.eu"
    )
    assert endpoint("anywhere", "http://127.0.0.1:8080") == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "override",
    [
        "",
        "modelarts.test",
        "ftp://x",
        "https://u:p@x",
        "https://x/v2",
        "https://x?a=b",
        "https://x#f",
        "https://x#",
        "https://x?",
        "https://@x",
        "https://x/..",
        "https://x ",
        "https://x\n",
        "https://",
        "https://x:y",
        "https://x:99999",
        "http://x:0",
        "http://modelarts.cn-north-4.myhuaweicloud.com",
        "http://10.0.0.7:8080",
        "http://localhost.example",
    ],
)
def test_broken_endpoints(override):
    """
    An endpoint with anything but a scheme, a host and a port is refused, without repeating what may hold a password.
    """
    with pytest.raises(BadInput) as raised:
        endpoint("cn-north-4", override)
    assert "u:p" not in str(raised.value)


def test_an_unknown_region_names_the_nearest():
    """
    A misspelt region is answered with the names that were probably meant.
    """
    with pytest.raises(BadInput, match="cn-north-4"):
        endpoint("cn-noth-4")
    with pytest.raises(BadInput, match="me-east-1"):
        endpoint("zzz")


def test_the_tag_and_the_expiry_are_passed_on():
    """
    The client gives the digest and the end of its credentials.
    """
    clock = HandClock()
    credential = AccessKey(keys=KeyPair(access="A", secret="S"), expires_at=NOW + 60)

    async def act(bench: Bench) -> None:
        await bench.client.read("job-1")
        assert bench.client.credentials_expire_at() == NOW + 60
        assert len(bench.client.credentials_tag()) == 12

    ask(Bench(world_of(sim_job()), clock=clock, credentials=fixed(clock, credential)), act)
