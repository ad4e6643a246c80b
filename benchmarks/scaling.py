"""
How the time of a complete walk, and of the decisions on what it read, grows with the project.
"""

import asyncio
import time
from datetime import UTC

from benchmarks import RESULTS
from benchmarks.figures import Figure, Result, exponent
from benchmarks.fleet import Fleet
from benchmarks.plot import log_log
from benchmarks.policies import many
from benchmarks.service import simulated
from benchmarks.walk import Shelf, walked
from guard.core.load import load
from guard.core.policy import PolicySet
from guard.daemon.view import View

PAGE = 50
SIZES, QUICK_SIZES, LARGEST = (1_000, 10_000, 100_000), (100, 200), 300_000
POLICIES = 10


def run(*, quick: bool, largest: bool = False) -> Result:
    """
    Walk projects of growing size and decide on their jobs; *largest* adds 300,000 jobs.
    """
    sizes = QUICK_SIZES if quick else (*SIZES, *([LARGEST] if largest else []))
    policies = load([("many.yaml", many(POLICIES).encode())], zone=UTC)
    seconds = [_measured(size, policies) for size in sizes]
    lines = {"complete walk": [one for one, _ in seconds], f"decisions, {POLICIES} policies": [one for _, one in seconds]}
    result = Result(name="scaling", details={"sizes": sizes, **lines})
    for name, values in lines.items():
        slope = exponent(sizes, values)
        result.figures.append(
            Figure(name=f"{name}: exponent", value=slope, unit="", wanted="0.9 to 1.1", met=0.9 <= slope <= 1.1)
        )
        result.figures += [
            Figure(name=f"{name} of {size:,} jobs", value=value, unit="s") for size, value in zip(sizes, values, strict=True)
        ]
    if not quick:
        (RESULTS / "scaling.svg").write_text(log_log("Time over jobs", sizes, lines), encoding="utf-8")
    missing = "" if largest or quick else "; 300,000 jobs with --largest"
    result.notes.append(f"least squares over the logarithms of {len(sizes)} sizes, plot in scaling.svg{missing}.")
    return result


def _measured(jobs: int, policies: PolicySet) -> tuple[float, float]:
    with simulated(Fleet(jobs=jobs, described=0.2, frozen=True)) as service:
        shelf = Shelf()
        walk = asyncio.run(walked(service, shelf))
    if len(shelf.jobs) != jobs or not walk.inventory.complete:
        raise RuntimeError(f"the walk found {len(shelf.jobs)} of {jobs} jobs")
    inventory, walk_s = walk.inventory, walk.seconds
    view = View(policies=policies)
    began = time.perf_counter()
    read = list(shelf.jobs.values())
    for at in range(0, jobs, PAGE):
        view.take(read[at : at + PAGE], now_ms=inventory.finished_at_ms)
    return walk_s, time.perf_counter() - began
