"""
The simulation finds deliberate bugs, so that a run in which every invariant held says something.
"""

import os
import subprocess
import sys
from pathlib import Path

from mutants import MUTANTS

HERE = Path(__file__).resolve().parent


def test_every_mutant_is_found():
    """
    Each deliberate bug breaks an invariant in the schedule that is known to find it; the guard as it is breaks none in it.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(HERE / "mutants.py"), "--processes", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(MUTANTS) + 1 >= 11


def test_a_mutant_changes_what_stands_in_the_code(tmp_path):
    """
    Each replacement still fits the code as it is: a bug that cannot be put in would never be missed.
    """
    for mutant in MUTANTS:
        for file, _, _ in mutant.changes:
            copy = tmp_path / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text((HERE.parent.parent / "guard" / file).read_text(encoding="utf-8"), encoding="utf-8")
        mutant.applied(tmp_path)
