"""
Many jobs due in the same instant: how long until all are stopped, beside plain httpx making the same two calls per job.
"""

import asyncio
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.daemon import Site, running
from benchmarks.figures import ROUNDS, Figure, Result, alternating
from benchmarks.fleet import Fleet
from benchmarks.lateness import settle
from benchmarks.service import Simulated, now_ms, simulated
from guard.modelarts.pace import IN_FLIGHT


def run(*, quick: bool) -> Result:
    """
    Let the daemon and plain httpx stop as many jobs of equal fleets in turn.
    """
    jobs, lead_s, rounds = (20, 4, 1) if quick else (2_000, 12, ROUNDS)
    missed: list[int] = []
    got = alternating(lambda: _guarded(jobs, lead_s, missed), lambda: _bare(jobs), rounds=rounds)
    ours, bare = got.medians
    result = Result(name="burst", details={"guard_s": got.ours, "bare_s": got.bare, "not_stopped": missed})
    result.figures.append(
        Figure(
            name=f"{jobs} due at once, until all accepted",
            value=ours,
            unit="s",
            bare=bare,
            bare_is="httpx GET+POST",
            ratio=got.ratio,
            wanted="<= 1.5 times",
            met=got.ratio <= 1.5 and not any(missed),
        )
    )
    result.notes.append(
        f"{rounds} alternating rounds, {IN_FLIGHT} calls in flight on both sides; the guard's time runs from the common due "
        "moment to the last accepted call in the simulator's log, the bare one from the first call. The guard signs its "
        f"calls and httpx does not; the simulator verifies neither. Not stopped within a minute, by round: {missed}."
    )
    return result


def _guarded(jobs: int, lead_s: int, missed: list[int]) -> float:
    fleet = Fleet(jobs=jobs, due=jobs, due_from_ms=now_ms() + lead_s * 1000, knobs={"terminate_seconds": 2.0})
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated(fleet) as service,
        running(Site(folder=Path(folder), url=service.url)) as guard,
    ):
        settle(guard, fleet, until_ms=fleet.due_from_ms + 60_000)
        accepted = service.accepted()
    missed.append(jobs - len(accepted))
    return max(accepted.values(), default=float("inf")) - fleet.due_from_ms / 1000


def _bare(jobs: int) -> float:
    with simulated(Fleet(jobs=jobs, due=jobs, due_from_ms=now_ms(), knobs={"terminate_seconds": 2.0})) as service:
        return asyncio.run(_both_calls(service, sorted(service.starts())))


async def _both_calls(service: Simulated, job_ids: list[str]) -> float:
    left = iter(job_ids)

    async def work(http: httpx.AsyncClient) -> None:
        for job_id in left:
            url = service.job_url(job_id)
            await http.get(url)
            await http.post(f"{url}/actions", content=b'{"action_type": "terminate"}')

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=IN_FLIGHT), timeout=30, trust_env=False) as http:
        began = time.perf_counter()
        await asyncio.gather(*(work(http) for _ in range(IN_FLIGHT)))
        return time.perf_counter() - began
