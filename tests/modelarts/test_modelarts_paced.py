"""
The client at its pace, in virtual time: what takes a turn, what holds none, and what becomes of a service that throttles.
"""

import asyncio

import httpx
import pytest
from calling import HOUR_MS, KEY, Taken, answer, fixed, in_turn, refusal, wire_job
from virtual_time import VirtualClock, in_virtual_time

from guard.core.lanes import Lane
from guard.errors import Retryable
from guard.modelarts import Exchange, ModelArtsClient, ModelArtsTerminator, Patience, Service, Target, http_client
from guard.modelarts.pace import Pace
from guard.simulator import DEFAULT_PROJECT, FLAVORS, CallLog, Knobs, LoopbackTransport, SimJob, World, create_app

ENDPOINT = "https://modelarts.test"


class Paced:
    """
    A client at a pace over a handler or the simulator.
    """

    def __init__(self, transport, **options):
        self.clock = VirtualClock()
        self.pace = Pace(self.clock, **options)
        self.http = http_client(transport=transport)
        self.service = Service(
            Exchange(self.http, self.clock),
            fixed(self.clock, KEY),
            endpoint=ENDPOINT,
            project_id=DEFAULT_PROJECT,
            patience=Patience(draw=lambda: 1.0),
            pace=self.pace,
        )
        target = Target(name="lab", region="cn-north-4", project_id=DEFAULT_PROJECT, workspaces=("0",))
        self.client = ModelArtsClient(target, self.service)
        self.terminator = ModelArtsTerminator(self.service)


def over(*answers, **options):
    """
    A client over these answers, one after the other, and the requests that came.
    """
    handle, requests = in_turn(*answers)
    return Paced(httpx.MockTransport(handle), **options), requests


def test_each_attempt_takes_its_own_turn_and_none_is_held_between():
    """
    A read that is repeated takes a turn for each attempt, and while it waits for the next one others have the place.
    """

    async def act():
        paced, requests = over(
            refusal(503, "ModelArts.0010"), refusal(503, "ModelArts.0010"), answer(wire_job()), in_flight=1
        )
        reading = asyncio.create_task(paced.client.read("job-1"))
        await asyncio.sleep(0.1)
        assert len(requests) == 1
        async with asyncio.timeout(0.1), paced.pace.turn(Lane.DISCOVERY):
            pass
        await reading
        async with paced.pace.turn(Lane.TERMINATE) as turn:
            assert turn.number == 5

    in_virtual_time(act())


def test_429_slows_the_target_and_is_told_once():
    """
    Throttled answers of calls that went out together halve the rate once, and no call goes out before the Retry-After ends.
    """

    async def act():
        requests = []

        async def handle(request):
            requests.append(request)
            late = len(requests) > 4
            await asyncio.sleep(0.1)
            return answer(wire_job()) if late else answer({"error_code": "APIGW.0308"}, 429, retry_after="5")

        paced = Paced(httpx.MockTransport(handle), per_second=16)
        reads = [asyncio.create_task(paced.client.read("job-1")) for _ in range(4)]
        await asyncio.sleep(1)
        assert (len(requests), paced.pace.rate, round(paced.pace.stopped_s())) == (4, 8, 4)
        async with paced.terminator.turn(rank=0) as turn:
            assert turn.waited_s == pytest.approx(4.1, abs=0.2)
        await asyncio.gather(*reads)
        assert len(requests) == 8

    in_virtual_time(act())


@pytest.mark.parametrize("status", [500, 503, 401, 409])
def test_other_answers_leave_the_rate(status):
    """
    Only 429 says that calls came too often.
    """

    async def act():
        paced, _ = over(refusal(status, "ModelArts.0010"))
        async with paced.terminator.turn(rank=0) as turn:
            with pytest.raises(Exception, match=str(status)):
                await paced.terminator.terminate("job-1", turn)
        assert paced.pace.rate == 20

    in_virtual_time(act())


def test_a_terminate_call_waits_only_for_its_turn():
    """
    Who holds a turn sends at once: nothing in a terminate call waits for the pace again.
    """

    async def act():
        paced, requests = over(answer(wire_job(), 202), in_flight=1)
        async with paced.terminator.turn(rank=0) as turn:
            await paced.terminator.terminate("job-1", turn)
        assert len(requests) == 1

    in_virtual_time(act())


def test_many_readings_ask_for_the_flavor_table_once():
    """
    Jobs that lack their flavor and are read at once share one call, which does not wait behind the re-reads of others.
    """

    async def act():
        seen = []

        async def handle(request):
            await asyncio.sleep(0.1)
            seen.append(request.url.path.rsplit("/", 1)[-1])
            return answer({"flavors": []}) if seen[-1].endswith("flavors") else answer(wire_job(seen[-1], **bare))

        bare = {"spec__resource__flavor_detail": None}
        paced = Paced(httpx.MockTransport(handle))
        await asyncio.gather(*(paced.client.read(f"job-{each}", rank=each) for each in range(100)))
        assert seen.count("training-job-flavors") == 1
        assert seen.index("training-job-flavors") <= 30

    in_virtual_time(act())


def test_nothing_is_lost_and_kills_go_first():
    """
    At a service that takes 10 calls a second, every job is ended before lists go on, the rate comes down, and all is read.
    """

    async def act():
        clock = VirtualClock()
        # The second begins anew with the world's clock, so a fixed window may be met twice in a row.
        world = World(Knobs(rate_limit_per_second=10), clock.now)
        for each in range(60):
            start_ms = int(clock.now() * 1000) - HOUR_MS - each
            flavor = FLAVORS["modelarts.vm.p100.large.eco"]
            world.add(SimJob(id=f"job-{each}", create_time_ms=start_ms, start_time_ms=start_ms, flavor=flavor))
        log = CallLog()
        paced = Paced(LoopbackTransport(create_app(world, log)))
        rates, walks = [], []

        async def kill(each):
            job_id = f"job-{each}"
            while True:
                try:
                    await paced.client.read(job_id, rank=each)
                    async with paced.terminator.turn(rank=each) as turn:
                        await paced.terminator.terminate(job_id, turn)
                        rates.append(paced.pace.rate)
                        return
                except Retryable:
                    continue

        async def discover():
            while len(walks) < 3:
                try:
                    walks.append(await paced.client.walk(Taken()))
                except Retryable:
                    continue

        began = clock.monotonic()
        lists = asyncio.create_task(discover())
        await asyncio.gather(*(kill(each) for each in range(60)))
        took_s = clock.monotonic() - began
        await lists
        await paced.http.aclose()
        assert sorted(log.accepted_terminations()) == sorted(f"job-{each}" for each in range(60))
        assert all(walk.complete for walk in walks)
        assert min(rates) <= 10
        # 120 calls at 10 a second are 12 s; what is thrown away while the pace finds that out is a part of it.
        assert took_s <= 3 * 12
        order = [entry.operation for entry in log.entries]
        last_kill = max(at for at, each in enumerate(order) if each == "terminate")
        assert order[:last_kill].count("list") <= 4
        throttled = sum(entry.status == 429 for entry in log.entries)
        assert throttled <= len(order) / 3

    in_virtual_time(act())
