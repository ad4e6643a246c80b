"""
What the client's tests share: a clock that is set by hand, a made-up job, and a client over a handler or a simulated world.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from guard.core.facts import Inventory, Job
from guard.modelarts import Credentials, Exchange, ModelArtsClient, Patience, Service, Target, http_client
from guard.modelarts.credentials import AccessKey, Credential
from guard.modelarts.paging import Limits
from guard.modelarts.signing import KeyPair
from guard.ports import Terminator
from guard.simulator import DEFAULT_PROJECT, CallLog, LoopbackTransport, World, create_app

NOW = 1_764_000_000.0
NOW_MS = int(NOW * 1000)
HOUR_MS = 3_600_000
ENDPOINT = "https://modelarts.test"
KEY = AccessKey(keys=KeyPair(access="AKEXAMPLE", secret="SKexampleSecret"))
WORLD_KEYS = {"AKEXAMPLE": "SKexampleSecret"}
JSON = {"content-type": "application/json"}

Handler = Callable[[httpx.Request], httpx.Response]


class HandClock:
    """
    A clock that only moves when it is told to, and by its own sleeps, which it lists.
    """

    def __init__(self) -> None:
        self.seconds = NOW
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds - NOW

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def instant(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC)


class Bench:
    """
    A service over a handler or a simulated world, and what it was seen to do.
    """

    def __init__(self, behind: Handler | World | httpx.AsyncBaseTransport, **options: Any) -> None:
        self.clock: HandClock = options.pop("clock", None) or HandClock()
        self.log = CallLog()
        self.seen: list[tuple[str, str, float]] = []
        if isinstance(behind, World):
            transport: httpx.AsyncBaseTransport = LoopbackTransport(create_app(behind, self.log))
        elif isinstance(behind, httpx.AsyncBaseTransport):
            transport = behind
        else:
            transport = httpx.MockTransport(behind)
        self.http = http_client(transport=transport)
        self.exchange = Exchange(self.http, self.clock, lambda *call: self.seen.append(call))
        self.credentials: Credentials = options.pop("credentials", None) or fixed(self.clock, KEY)
        self.service = Service(
            self.exchange,
            self.credentials,
            endpoint=ENDPOINT,
            project_id=DEFAULT_PROJECT,
            patience=Patience(draw=lambda: 1.0),
        )
        target = Target(
            name="lab", region="cn-north-4", project_id=DEFAULT_PROJECT, **options.pop("target", {"workspaces": ("0",)})
        )
        self.client = ModelArtsClient(target, self.service, limits=options.pop("limits", Limits()))


class Taken:
    """
    A taker that keeps the newest reading of each job, by id in the order of the first one, and counts its calls.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Job] = {}
        self.calls = 0

    async def __call__(self, jobs: Sequence[Job]) -> None:
        self.calls += 1
        for job in jobs:
            before = self.by_id.get(job.key.job_id)
            if before is None or before.read_at_ms <= job.read_at_ms:
                self.by_id[job.key.job_id] = job

    @property
    def ids(self) -> list[str]:
        return list(self.by_id)

    @property
    def jobs(self) -> list[Job]:
        return list(self.by_id.values())


async def walk_once(bench: Bench) -> tuple[Inventory, Taken]:
    """
    One walk and what it gave.
    """
    taken = Taken()
    return await bench.client.walk(taken), taken


def walked(bench: Bench) -> tuple[Inventory, Taken]:
    """
    One walk, after which the connections are closed.
    """
    found: tuple[Inventory, Taken] = ask(bench, walk_once)
    return found


def fixed(clock: HandClock, credential: Credential) -> Credentials:
    """
    Credentials of which there is only one.
    """

    async def fetch() -> Credential:
        return credential

    return Credentials(fetch, clock.now, identity="fixed")


def ask(bench: Bench, act: Callable[[Bench], Awaitable[Any]]) -> Any:
    """
    Run *act* and close the connections.
    """

    async def run() -> Any:
        async with bench.http:
            return await act(bench)

    return asyncio.run(run())


async def sent(terminator: Terminator, job_id: str) -> None:
    """
    Send one terminate call in its turn.
    """
    async with terminator.turn(rank=0) as turn:
        await terminator.terminate(job_id, turn)


def wire_job(job_id: str = "job-1", **changes: Any) -> dict[str, Any]:
    """
    One job as the service's documents show it, with *changes* at dotted paths (``__`` for the dot); None drops the field.
    """
    job: dict[str, Any] = {
        "kind": "job",
        "metadata": {
            "id": job_id,
            "name": "train",
            "description": "a test",
            "create_time": NOW_MS - 2 * HOUR_MS,
            "workspace_id": "0",
            "user_name": "alice",
            "annotations": {"owner": "vision"},
        },
        "status": {
            "phase": "Running",
            "secondary_phase": "Running",
            "duration": HOUR_MS,
            "start_time": NOW_MS - HOUR_MS,
            "node_count_metrics": [[NOW_MS - HOUR_MS, 2]],
            "tasks": ["worker-0", "worker-1"],
        },
        "algorithm": {"engine": {"engine_name": "PyTorch", "engine_version": "PyTorch-1.8.0", "image_url": "lab/train:1"}},
        "spec": {
            "resource": {
                "policy": "regular",
                "flavor_id": "modelarts.vm.p100.large.eco",
                "node_count": 2,
                "pool_id": "",
                "flavor_detail": {
                    "flavor_type": "GPU",
                    "billing": {"code": "modelarts.vm.gpu.p100.eco", "unit_num": 1},
                    "flavor_info": {"gpu": {"unit_num": 4, "product_name": "NVIDIA-P100", "memory": "8GB"}},
                },
            }
        },
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        owner = job
        for parent in parents:
            owner = owner.setdefault(parent, {})
        if value is None:
            owner.pop(key, None)
        else:
            owner[key] = value
    return job


def answer(value: Any, status: int = 200, **headers: str) -> httpx.Response:
    """
    A JSON answer; underscores in header names stand for hyphens.
    """
    named = {name.replace("_", "-"): each for name, each in headers.items()}
    return httpx.Response(status, headers={**JSON, **named}, content=json.dumps(value).encode())


def refusal(status: int, code: str, text: str = "no") -> httpx.Response:
    """
    An error as the service words it.
    """
    return answer({"error_code": code, "error_msg": text}, status)


def in_turn(*answers: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """
    A handler that gives these answers one after the other, the last one for ever, and the list of the requests it got.
    """
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        given = answers[min(len(requests), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return httpx.Response(given.status_code, headers=given.headers, content=given.content)

    return handle, requests
