"""
Where the log goes, and that nothing depends on it.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import resource, structlog
from guard.logs import configure_logs
configure_logs()
log = structlog.get_logger("guard")
log.info("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
for _ in range(1000):
    log.info("meanwhile")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("after")
print("went on")
"""


def test_a_log_on_a_full_disk_ends_nothing(tmp_path):
    """
    What the disk does not take of the log is lost, and whoever logs goes on, also once there is room again.
    """
    with (tmp_path / "log").open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (0, "went on\n")
    lines = (tmp_path / "log").read_text().splitlines()
    assert '"event": "before"' in lines[0]
    assert '"event": "after"' in lines[-1]


def test_a_reader_of_the_log_that_has_gone_ends_nothing():
    """
    A pipe that nobody reads any more takes the log no more, and whoever logs goes on.
    """
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            timeout=60,
        )
    assert done.stdout == "went on\n"
