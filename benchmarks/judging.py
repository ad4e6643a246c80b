"""
The speed of decisions, as ``decisions.py`` measures it in a process of its own, told in figures.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Figure, Result

SCRIPT = Path(__file__).with_name("decisions.py")
COMPILED = "compiled, "
PROMISES = (
    ("to Cloud Custodian, on what it expresses", "Cloud Custodian's value filters", 100.0),
    ("to the function by hand", "by hand, from the jobs", 1.0),
)


def run(*, quick: bool) -> Result:
    """
    Run the comparison; it fails by itself if any two contenders disagree.
    """
    sizes = ["--jobs", "500", "--rounds", "1"] if quick else ["--jobs", "100000", "--rounds", "5"]
    command = [sys.executable, str(SCRIPT), *sizes]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - our own script
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    said = json.loads(done.stdout)
    speed: dict[str, float] = said["pairs_per_second"]
    result = Result(name="decisions", details=said)
    ours = next(value for name, value in speed.items() if name.startswith(COMPILED))
    on_few = next((value for name, value in speed.items() if "Custodian expresses" in name), ours)
    for named, bare_name, least in PROMISES:
        ratio = said["ratios"].get(named)
        bare = next((value for name, value in speed.items() if name.startswith(bare_name)), None)
        result.figures.append(
            Figure(
                name=f"{said['jobs']:,} jobs x {said['policies']} policies, {named}",
                value=on_few if "Custodian" in named else ours,
                unit="pairs/s",
                bare=bare,
                bare_is=bare_name,
                ratio=ratio,
                wanted=f">= {least:g} times",
                met=None if ratio is None else ratio >= least,
            )
        )
    result.notes.append(f"equal results were checked: {json.dumps(said['checked'])}.")
    return result
