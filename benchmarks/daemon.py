"""
The guard as a process of its own: its settings, its log, its metrics and its memory.

In real time it is ``guard run`` as a person starts it; with a speed it is the same on a clock that runs faster, which this
module starts when it is run itself.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.fleet import Fleet
from benchmarks.service import ROOT
from guard import commands
from guard.app import Outside
from guard.daemon.clocks import ScaledClock
from guard.logs import configure_logs
from guard.settings import load_settings
from guard.simulator import DEFAULT_PROJECT

ONE_POLICY = """\
policies:
  - name: p100-eco-too-long
    mode: enforce
    match:
      billing_code: modelarts.vm.gpu.p100.eco
      node_count: {gt: 2}
      unit_num: {gte: 1}
      duration: {gt: %s}
"""
_KEYS = {"HUAWEICLOUD_SDK_AK": "BENCHMARKACCESSKEY00", "HUAWEICLOUD_SDK_SK": "benchmark-secret-key-of-nobody"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    A folder with the settings, policies and ledger of one guard; a setting that is None is left at the guard's default.
    """

    folder: Path
    url: str
    limit: str = "24h"
    policies: Sequence[str] = ()
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        """
        The file of the ledger.
        """
        return self.folder / "guard.db"

    @property
    def target(self) -> dict[str, str]:
        """
        The one target.
        """
        return {"name": "lab", "region": "cn-north-4", "project_id": DEFAULT_PROJECT, "endpoint": self.url}

    def values(self) -> dict[str, Any]:
        """
        Write the policies, and return the settings as the settings file holds them.
        """
        policies = self.folder / "policies"
        policies.mkdir(parents=True, exist_ok=True)
        for index, text in enumerate(self.policies or [ONE_POLICY % self.limit]):
            (policies / f"p{index}.yaml").write_text(text, encoding="utf-8")
        fixed = {
            "armed": True,
            "limits": "none",
            "breaker": "none",
            "listen": "127.0.0.1:0",
            "scan_interval": "60m",
            "walk_interval": "60m",
            "api_rate": 1000,
        }
        places = {"targets": [self.target], "policies": str(policies), "ledger": f"sqlite:///{self.ledger}"}
        return {key: value for key, value in {**fixed, **places, **self.settings}.items() if value is not None}

    def config(self) -> Path:
        """
        Write the settings file and return its path.
        """
        path = self.folder / "guard.yaml"
        path.write_text(yaml.safe_dump(self.values()), encoding="utf-8")
        return path


class Guard:
    """
    A running daemon.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.began = time.monotonic()
        self._log = log
        self._port = 0
        self._accepted = 0
        self._read_to = 0

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """
        Return the lines of its log, of one event if it is named.
        """
        lines = self._log.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [one for one in found if name in ("", one["event"])]

    def accepted(self) -> int:
        """
        Return how many terminations its log tells of; only what is new is read, so that watching costs next to nothing.
        """
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            whole, ends, _ = log.read().rpartition(b"\n")
        self._read_to += len(whole) + len(ends)
        self._accepted += whole.count(b'"event": "termination.accepted"')
        return self._accepted

    def wait_for(self, name: str, *, timeout_s: float, count: int = 1) -> dict[str, Any] | None:
        """
        Wait for an event of its log; None if it ended or the time is over.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = self.events(name)
            if len(found) >= count:
                return found[count - 1]
            if self.process.poll() is not None:
                raise RuntimeError(f"the guard ended: {self._log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.02 if timeout_s < 30 else 0.1)
        return None

    def memory_mib(self, field_name: str = "VmRSS") -> float:
        """
        Return the resident memory now, or at its peak (``VmHWM``).
        """
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{field_name}:\s+(\d+) kB", text, re.MULTILINE)
        return int(found[1]) / 1024 if found else float("nan")

    def metric(self, name: str) -> dict[str, float]:
        """
        Return the series of a metric by their labels.
        """
        if not self._port:
            started = self.wait_for("guard.started", timeout_s=30)
            self._port = int(started["port"]) if started else 0
        text = httpx.get(f"http://127.0.0.1:{self._port}/metrics", timeout=60, trust_env=False).text
        found = (line.rpartition(" ") for line in text.splitlines() if re.match(rf"{name}(\{{| )", line))
        return {series: float(value) for series, _, value in found}


@contextlib.contextmanager
def running(site: Site, *, fleet: Fleet | None = None) -> Iterator[Guard]:
    """
    Run the daemon of a site until the context ends; on the clock of *fleet* if that is sped up.
    """
    command = [sys.executable, "-m", "guard", "run", "-c", str(site.config())]
    if fleet is not None and fleet.speed != 1.0:
        clock = (str(fleet.speed), repr(fleet.origin), repr(fleet.started))
        command = [sys.executable, "-m", "benchmarks.daemon", str(site.config()), *clock]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", **_KEYS}
    path = site.folder / "guard.log"
    with path.open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as process:  # noqa: S603
        try:
            yield Guard(process, path)
        finally:
            # The second signal ends the intents on their way, which nobody waits for here.
            for _ in range(2):
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    time.sleep(0.3)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def sped_up(config: Path, clock: ScaledClock) -> int:
    """
    Run the daemon on that clock until it is told to stop.
    """
    configure_logs()
    return asyncio.run(commands.run(load_settings(config), Outside(clock=clock, environment={**os.environ, **_KEYS})))


if __name__ == "__main__":
    speed, origin, started = (float(one) for one in sys.argv[2:5])
    sys.exit(sped_up(Path(sys.argv[1]), ScaledClock(speed=speed, origin=origin, started=started)))
