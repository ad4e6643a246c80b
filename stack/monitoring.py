"""
Prometheus and Alertmanager as processes on loopback, with the chart's own rules.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# No proxy of the environment stands between two processes of one machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
RULES = Path(__file__).resolve().parents[1] / "helm/cost-guard/rules"


def free_port(wanted: int = 0) -> int:
    """
    Return *wanted* if it is free on loopback, else some free port.
    """
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")


class Prometheus:
    """
    A Prometheus at *port* that keeps its data in *folder*, and what it says.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @contextlib.contextmanager
    def running(
        self,
        *,
        guards: Sequence[str],
        rules: Sequence[Path],
        scrape: str = "5s",
        evaluate: str = "5s",
        alertmanager: str = "",
    ) -> Iterator[subprocess.Popen[bytes]]:
        """
        Scrape the *guards* (host:port) under the job cost-guard while the context lasts.
        """
        config: dict[str, Any] = {
            "global": {"scrape_interval": scrape, "evaluation_interval": evaluate},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [{"job_name": "cost-guard", "static_configs": [{"targets": list(guards)}]}],
        }
        more = []
        if alertmanager:
            # What fired before the Alertmanager was discovered is sent again soon, instead of after a minute.
            more = ["--rules.alert.resend-delay=2s"]
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "prometheus.yml"
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        command = [
            found("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *more,
        ]
        with process(command, self.folder / "prometheus.log") as one:
            yield one

    def get(self, path: str, **parameters: str) -> Any:
        """
        Ask its API and return the data; None while it does not answer.
        """
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with DIRECT.open(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 503:  # it starts
                    return None
                raise ValueError(f"{parameters}: {error.read().decode()}") from error
        except (urllib.error.URLError, ConnectionError):
            return None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """
        Return the series of an instant query, none while it does not answer.
        """
        data = self.get("query", query=expression)
        return [] if data is None else list(data["result"])


@contextlib.contextmanager
def alertmanager(folder: Path, port: int, webhook: str) -> Iterator[subprocess.Popen[bytes]]:
    """
    Run an Alertmanager that hands every alert to *webhook* at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    route = {
        "receiver": "hook",
        "group_by": ["alertname"],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    receivers = [{"name": "hook", "webhook_configs": [{"url": webhook}]}]
    path = folder / "alertmanager.yml"
    path.write_text(json.dumps({"route": route, "receivers": receivers}), encoding="utf-8")
    command = [
        found("prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with process(command, folder / "alertmanager.log") as one:
        yield one


@contextlib.contextmanager
def process(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """
    Run a process that writes into *log*, and end it with the context.
    """
    with log.open("wb") as stream:
        # A process group of its own, so that Ctrl-C reaches the stack alone, which ends its parts in order.
        one = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True, **options)  # noqa: S603
    try:
        yield one
    finally:
        one.terminate()
        try:
            one.wait(timeout=30)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait(timeout=10)


def found(program: str) -> str:
    """
    Return the path of a program; raise ``LookupError`` with the way to get it.
    """
    path = shutil.which(program)
    if path is None:
        raise LookupError(f"{program} is not installed (Debian: apt-get install --no-install-recommends {program})")
    return path
