"""
A complete walk of a large project, beside plain httpx sending the same requests, and beside the vendor's own SDK.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from benchmarks.figures import ROUNDS, Figure, Result, alternating
from benchmarks.fleet import Fleet
from benchmarks.service import Simulated, simulated
from guard.app import Outside, connected
from guard.core.facts import Inventory, Job, JobKey
from guard.daemon.metrics import Metrics
from guard.modelarts.paging import Limits
from guard.settings import Settings, fixed_settings
from guard.simulator import DEFAULT_PROJECT

PAGE = 50
AHEAD = Limits().ahead
KEYS = {"HUAWEICLOUD_SDK_AK": "BENCHMARKACCESSKEY00", "HUAWEICLOUD_SDK_SK": "benchmark-secret-key-of-nobody"}


def run(*, quick: bool) -> Result:
    """
    Read one large project in turn by the guard's client, by plain httpx and by the SDK.
    """
    return measured(300 if quick else 100_000, rounds=1 if quick else ROUNDS)


def measured(jobs: int, *, rounds: int) -> Result:
    """
    Read a project of so many jobs in alternating rounds.
    """
    result = Result(name="walk")
    with simulated(Fleet(jobs=jobs, described=0.2, frozen=True)) as service:
        complete, as_wired, requests = asyncio.run(_as_wired(service))
        ours = lambda: jobs / timed_walk(service, jobs)  # noqa: E731 - a thunk for the rounds
        by_httpx = alternating(ours, lambda: jobs / asyncio.run(_fetched(service, requests)), rounds=rounds)
        by_sdk = alternating(ours, lambda: jobs / _listed_by_sdk(service, jobs), rounds=rounds)
    same = f"plain httpx, the same {len(requests):,} requests, {AHEAD} in flight"
    for got, bare_is, times in ((by_httpx, same, 0.8), (by_sdk, "the vendor's SDK", 3.0)):
        median, bare = got.medians
        result.details[bare_is] = {"guard": got.ours, "bare": got.bare}
        result.figures.append(
            Figure(
                name=f"walk of {jobs:,} jobs, beside {bare_is}",
                value=median,
                unit="jobs/s",
                bare=bare,
                ratio=got.ratio,
                wanted=f">= {times} times",
                met=got.ratio >= times,
            )
        )
    result.figures.append(
        Figure(
            name="jobs that the wired client's walk finds",
            value=as_wired,
            unit="jobs",
            wanted=f"{jobs:,}, complete",
            met=complete and as_wired == jobs,
        )
    )
    result.notes.append(
        "the walk proves every border, so its windows overlap; httpx sends the bodies that the walk sent and throws the "
        f"answers away; the SDK asks for {math.ceil(jobs / PAGE):,} bare pages of {PAGE}. The list is served from memory."
    )
    return result


class Sink:
    """
    A taker that throws the jobs away.
    """

    async def take(self, jobs: Sequence[Job]) -> None:
        """
        Take jobs.
        """


class Shelf:
    """
    A taker that keeps the jobs, each once.
    """

    def __init__(self) -> None:
        self.jobs: dict[JobKey, Job] = {}

    async def take(self, jobs: Sequence[Job]) -> None:
        """
        Take jobs.
        """
        self.jobs.update((job.key, job) for job in jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """
    A walk: what it came to, and the seconds it took.
    """

    inventory: Inventory
    seconds: float


def timed_walk(service: Simulated, jobs: int) -> float:
    """
    Return the seconds of one complete walk by the guard's client.
    """
    walk = asyncio.run(walked(service, Sink()))
    if walk.inventory.jobs != jobs or not walk.inventory.complete:
        raise RuntimeError(f"the walk found {walk.inventory.jobs} of {jobs} jobs ({walk.inventory.doubt})")
    return walk.seconds


async def walked(service: Simulated, taker: Sink | Shelf) -> Timed:
    """
    Walk once with the guard's client.
    """
    async with connected(_settings(service), Outside(environment=KEYS), Metrics(version="0")) as clients:
        began = time.perf_counter()
        inventory = await clients["lab"].client.walk(taker.take)
        return Timed(inventory=inventory, seconds=time.perf_counter() - began)


class Recorder(httpx.AsyncBaseTransport):
    """
    The network, and the bodies of the list calls that went through.
    """

    def __init__(self) -> None:
        self._network = httpx.AsyncHTTPTransport(trust_env=False)
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request.
        """
        if request.url.path.endswith("/training-job-searches"):
            self.bodies.append(request.content)
        return await self._network.handle_async_request(request)

    async def aclose(self) -> None:
        """
        Close the connections.
        """
        await self._network.aclose()


async def _as_wired(service: Simulated) -> tuple[bool, int, Sequence[bytes]]:
    """
    Return whether a walk was complete, how many jobs it gave, and what it asked.
    """
    shelf, recorder = Shelf(), Recorder()
    outside = Outside(environment=KEYS, transport=recorder)
    async with connected(_settings(service), outside, Metrics(version="0")) as clients:
        inventory = await clients["lab"].client.walk(shelf.take)
        return inventory.complete, len(shelf.jobs), recorder.bodies


def _settings(service: Simulated) -> Settings:
    target = {"name": "lab", "region": "cn-north-4", "project_id": DEFAULT_PROJECT, "endpoint": service.url}
    # As fast as it goes: what is measured is the client, not its pace.
    return fixed_settings(targets=[target], api_rate=1000)


async def _fetched(service: Simulated, requests: Sequence[bytes]) -> float:
    left = iter(requests)

    async def one_after_another(http: httpx.AsyncClient) -> None:
        for body in left:
            answer = await http.post(service.list_url, content=body, headers={"content-type": "application/json"})
            answer.raise_for_status()

    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        began = time.perf_counter()
        await asyncio.gather(*(one_after_another(http) for _ in range(AHEAD)))
        return time.perf_counter() - began


def _listed_by_sdk(service: Simulated, jobs: int) -> float:
    # Test-only, and slow to import, so it is not asked for before it is needed.
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
    from huaweicloudsdkmodelarts.v1 import JobSearches, ListTrainingJobsRequest  # type: ignore[import-untyped]
    from huaweicloudsdkmodelarts.v1 import ModelArtsClient as VendorsClient

    credentials = BasicCredentials(*KEYS.values(), DEFAULT_PROJECT)
    vendors = VendorsClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()
    began = time.perf_counter()
    found = 0
    for page in range(math.ceil(jobs / PAGE)):
        body = JobSearches(offset=page, limit=PAGE, sort_by="create_time", order="asc", workspace_id="0")
        found += len(vendors.list_training_jobs(ListTrainingJobsRequest(body=body)).items)
    if found != jobs:
        raise RuntimeError(f"the vendor's SDK found {found} of {jobs} jobs")
    return time.perf_counter() - began
