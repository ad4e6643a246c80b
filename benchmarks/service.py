"""
The simulated service in a process of its own, and the handle on it.

As a module to run it serves one ``Fleet``; beside the simulator's own controls it tells when each job started, when each new
one was created, and when a list first showed it.
"""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.fleet import Fleet, FleetWorld, newcomer, populate
from guard.daemon.clocks import RealClock, ScaledClock
from guard.simulator import DEFAULT_PROJECT, CallLog, Knobs, World, create_app, serve
from guard.simulator.jobs import render
from guard.simulator.knobs import changed

ROOT = Path(__file__).resolve().parents[1]
SEARCHES = f"/v2/{DEFAULT_PROJECT}/training-job-searches"
JOBS = f"/v2/{DEFAULT_PROJECT}/training-jobs"
_NEW = re.compile(rb'"(new-\d{7})"')


class Frozen:
    """
    Serves lists from items rendered once, so that a walk of many pages measures its reader; the rest goes through.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._items = [json.dumps(render(job, world.knobs, world.now_ms)).encode() for job in _all(world)]
        self.pages = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a list in the order of creation or from the newest; every other call is the simulator's.
        """
        if scope["type"] != "http" or scope["path"] != SEARCHES:
            await self._app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                # A walk that has read the list to its end drops what it asked for ahead.
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.pages += 1
        asked = msgspec.json.decode(body)
        limit, total = asked.get("limit", 10), len(self._items)
        first = asked.get("offset", 0) * limit
        if asked.get("order") == "asc":
            items = self._items[first : first + limit]
        else:
            items = self._items[max(0, total - first - limit) : max(0, total - first)][::-1]
        # A fleet that only runs has nothing in the phases of those that wait.
        if any("Running" not in each["value"] for each in asked.get("filters", []) if each["key"] == "phase"):
            items = []
        answer = b'{"total":%d,"count":%d,"limit":%d,"items":[%s]}' % (total, len(items), limit, b",".join(items))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        headers.append((b"date", formatdate(usegmt=True).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Watching:
    """
    Notes when a list first showed each new job, by the world's clock.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world
        self.shown: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Pass everything on, and look into the answers to lists.
        """

        async def looked(message: Message) -> None:
            if message["type"] == "http.response.body":
                for found in _NEW.findall(message.get("body", b"")):
                    self.shown.setdefault(found.decode(), self._world.now())
            await send(message)

        await self._app(scope, receive, looked if scope.get("path") == SEARCHES else send)


def _all(world: World) -> Any:
    return world.in_phases("0", None, newest_first=False)


async def serve_fleet(fleet: Fleet) -> None:
    """
    Serve a fleet until standard input ends, as it does with whoever started this; the address is the only line of output.
    """
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    sped = fleet.speed != 1.0
    clock = ScaledClock(speed=fleet.speed, origin=fleet.origin, started=fleet.started) if sped else RealClock()
    world, log = FleetWorld(changed(Knobs(), fleet.knobs), clock.now), CallLog()
    populate(world, fleet)
    created: dict[str, float] = {}

    async def starts(request: Request) -> JSONResponse:
        return JSONResponse({job.id: job.start_time_ms for job in _all(world)})

    async def news(request: Request) -> JSONResponse:
        return JSONResponse({"now": world.now(), "created": created, "shown": watching.shown})

    app = create_app(world, log)
    for path, show in (("/_benchmark/starts", starts), ("/_benchmark/news", news)):
        app.router.routes.insert(0, Route(path, show))
    watching = Watching(Frozen(app, world) if fleet.frozen else app, world)
    async with await serve(watching if fleet.new_per_hour else watching._app) as server:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        if not fleet.new_per_hour:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(3600 / fleet.new_per_hour / fleet.speed)
            job = world.add(newcomer(world, fleet, len(created)))
            created[job.id] = job.create_time_ms / 1000


class Simulated:
    """
    A simulated service that runs at *url*.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.list_url = url + SEARCHES

    def starts(self) -> dict[str, int]:
        """
        Return when each job started, in epoch milliseconds of the world's clock.
        """
        return dict(self._get("/_benchmark/starts"))

    def news(self) -> Any:
        """
        Return the new jobs: when they were created, and when a list first showed them.
        """
        return self._get("/_benchmark/news")

    def log(self) -> list[dict[str, Any]]:
        """
        Return the simulator's own log of calls.
        """
        return list(self._get("/_simulator/log"))

    def accepted(self) -> dict[str, float]:
        """
        Return when each job's first termination was accepted, in epoch seconds of the world's clock.
        """
        found: dict[str, float] = {}
        for entry in self.log():
            if entry["accepted"]:
                found.setdefault(entry["job_id"], entry["at"])
        return found

    def fates(self) -> Any:
        """
        Return what became of each job.
        """
        return self._get("/_simulator/fates")

    def job_url(self, job_id: str) -> str:
        """
        Return the address of a job.
        """
        return f"{self.url}{JOBS}/{job_id}"

    def _get(self, path: str) -> Any:
        answer = httpx.get(self.url + path, timeout=120, trust_env=False)
        answer.raise_for_status()
        return answer.json()


@contextlib.contextmanager
def simulated(fleet: Fleet) -> Iterator[Simulated]:
    """
    Run the simulator with a fleet as a process until the context ends.
    """
    command = [sys.executable, "-m", "benchmarks.service", fleet.as_json()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as process:  # noqa: S603 - our own module
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise RuntimeError("the simulator did not start")
            yield Simulated(url)
        finally:
            process.terminate()


def now_ms() -> int:
    """
    Return this machine's moment in epoch milliseconds.
    """
    return int(time.time() * 1000)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_fleet(Fleet(**json.loads(sys.argv[1]))))
