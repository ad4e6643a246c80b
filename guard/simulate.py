"""
The simulator as a server of its own: ``guard simulate``.
"""

import asyncio
import json
import time
from pathlib import Path

from rich.console import Console

from guard.errors import BadInput
from guard.simulator import CallLog, Knobs, World, changed, create_app, populate, serve
from guard.simulator.world import DEFAULT_PROJECT

ACCESS_KEY, SECRET_KEY = "SIMULATEDACCESSKEY00", "simulated-secret-key-of-nobody"


def knobs_from(path: Path | None) -> Knobs:
    """
    Return the knobs of a JSON file over the simulator's own: signatures are verified, everything else works.
    """
    knobs = Knobs(verify_signatures=True, access_keys={ACCESS_KEY: SECRET_KEY})
    if path is None:
        return knobs
    try:
        return changed(knobs, json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"{path}: the knobs cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: {error}") from error


async def simulate_forever(*, port: int, jobs: int, seed: int, knobs: Path | None, console: Console) -> None:
    """
    Serve a simulated project on loopback until interrupted, and print how to point a guard at it.
    """
    world = World(knobs_from(knobs), time.time)
    populate(world, jobs, seed=seed)
    try:
        server = await serve(create_app(world, CallLog()), port=port)
    except OSError as error:
        raise BadInput(f"--port: cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another port") from error
    async with server:
        console.print(f"simulated ModelArts with {jobs} jobs on {server.url}; its log: {server.url}/_simulator/log")
        console.print("settings of a guard that watches it:\n", style="bold")
        console.print("targets:")
        console.print(
            f"  - {{name: simulated, region: cn-north-4, project_id: {DEFAULT_PROJECT}, endpoint: {server.url}}}",
            soft_wrap=True,
        )
        console.print(f"\nexport HUAWEICLOUD_SDK_AK={ACCESS_KEY} HUAWEICLOUD_SDK_SK={SECRET_KEY}", soft_wrap=True)
        await asyncio.Event().wait()
