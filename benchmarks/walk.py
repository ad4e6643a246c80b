"""
A complete walk of a large project, beside plain httpx fetching the same pages, and beside the vendor's own SDK.
"""

import asyncio
import math
import time

import httpx
import msgspec

from benchmarks.figures import ROUNDS, Figure, Result, alternating
from benchmarks.fleet import Fleet
from benchmarks.service import Simulated, simulated
from guard.app import Outside, connected
from guard.core.facts import Inventory
from guard.daemon.metrics import Metrics
from guard.modelarts import ModelArtsClient
from guard.modelarts import Target as Watched
from guard.modelarts.paging import Limits
from guard.settings import Settings, fixed_settings
from guard.simulator import DEFAULT_PROJECT

PAGE = 50
KEYS = {"HUAWEICLOUD_SDK_AK": "BENCHMARKACCESSKEY00", "HUAWEICLOUD_SDK_SK": "benchmark-secret-key-of-nobody"}
FILTERS = [{"key": "phase", "operator": "in", "value": ["Creating", "Pending", "Running", "Terminating"]}]


def run(*, quick: bool) -> Result:
    """
    Read one large project in turn by the guard's client, by plain httpx and by the SDK.
    """
    jobs, rounds = (300, 1) if quick else (100_000, ROUNDS)
    result = Result(name="walk")
    with simulated(Fleet(jobs=jobs, described=0.2, frozen=True)) as service:
        complete, as_wired = asyncio.run(_as_wired(service))
        ours = lambda: jobs / timed_walk(service, jobs)  # noqa: E731 - a thunk for the rounds
        by_httpx = alternating(ours, lambda: jobs / asyncio.run(_fetched(service, jobs)), rounds=rounds)
        by_sdk = alternating(ours, lambda: jobs / _listed_by_sdk(service, jobs), rounds=rounds)
    for got, bare_is, times in ((by_httpx, "plain httpx, one after another", 0.8), (by_sdk, "the vendor's SDK", 3.0)):
        measured, bare = got.medians
        result.details[bare_is] = {"guard": got.ours, "bare": got.bare}
        result.figures.append(
            Figure(
                name=f"walk of {jobs:,} jobs, beside {bare_is}",
                value=measured,
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
        f"pages of {PAGE}; the speed is that of ModelArtsClient.walk with the bound on windows lifted, since a walk that "
        "stops early has no speed. httpx throws the pages away. The list is served from memory."
    )
    return result


def timed_walk(service: Simulated, jobs: int) -> float:
    """
    Return the seconds of one complete walk by the guard's client.
    """
    inventory, seconds = asyncio.run(walked(service))
    if len(inventory.jobs) != jobs:
        raise RuntimeError(f"the walk found {len(inventory.jobs)} of {jobs} jobs")
    return seconds


async def walked(service: Simulated) -> tuple[Inventory, float]:
    """
    Walk once with the guard's client, however many windows it takes; return what it read and its seconds.
    """
    settings = _settings(service)
    async with connected(settings, Outside(environment=KEYS), Metrics(version="0")) as clients:
        target = Watched(name="lab", region="cn-north-4", project_id=DEFAULT_PROJECT)
        client = ModelArtsClient(target, clients["lab"].service, limits=Limits(max_windows=10**6))
        began = time.perf_counter()
        return await client.walk(), time.perf_counter() - began


async def _as_wired(service: Simulated) -> tuple[bool, int]:
    async with connected(_settings(service), Outside(environment=KEYS), Metrics(version="0")) as clients:
        inventory = await clients["lab"].client.walk()
        return inventory.complete, len(inventory.jobs)


def _settings(service: Simulated) -> Settings:
    target = {"name": "lab", "region": "cn-north-4", "project_id": DEFAULT_PROJECT, "endpoint": service.url}
    # As fast as it goes: what is measured is the client, not its pace.
    return fixed_settings(targets=[target], api_rate=1000)


async def _fetched(service: Simulated, jobs: int) -> float:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        began = time.perf_counter()
        for page in range(math.ceil(jobs / PAGE)):
            asked = {"offset": page, "limit": PAGE, "sort_by": "create_time", "order": "asc", "filters": FILTERS}
            answer = await http.post(service.list_url, content=msgspec.json.encode({"workspace_id": "0", **asked}))
            answer.raise_for_status()
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
