"""
``python -m stack``: the simulator, an armed guard and Prometheus on loopback in real time, until Ctrl-C.

The simulator lives in this process and starts a new job every few seconds; guard and Prometheus are the real programs.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from guard.simulate import ACCESS_KEY, SECRET_KEY
from guard.simulator import FLAVORS, CallLog, Knobs, SimJob, World, create_app, populate, serve
from guard.simulator.world import DEFAULT_PROJECT
from stack.monitoring import RULES, Prometheus, free_port, process

ROOT = Path(__file__).resolve().parents[1]
NEW_JOB_S = 15.0
FIRST = 'sum(costguard_terminations_total{outcome="confirmed"})'
KINDS: tuple[tuple[str, str, int, dict[str, str]], ...] = (
    ("sweep", "modelarts.vm.p100.large.eco", 4, {}),
    ("ablation", "modelarts.vm.p100.large.eco", 2, {}),
    ("pretraining", "modelarts.bm.snt9.xlarge.8", 2, {}),
    ("agreed", "modelarts.vm.p100.large.eco", 3, {"cost-guard/keep": "yes"}),
    ("eval", "modelarts.vm.cpu.8u", 1, {}),
)
"""Jobs that come by turns: the first breaks a policy after a while, the third is only observed, the fourth is exempt."""


def say(text: str) -> None:
    """
    Tell the person at the terminal.
    """
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)  # noqa: T201 - this is a program for a terminal


async def main() -> int:
    """
    Run the stack until it is interrupted or one of its parts ends; return the exit code.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="guard-stack-"))
    world = World(Knobs(verify_signatures=True, access_keys={ACCESS_KEY: SECRET_KEY}, terminate_seconds=2), time.time)
    populate(world, 30, seed=7)
    add(world, 0, running_for_s=84)
    try:
        with contextlib.ExitStack() as parts:
            async with await serve(create_app(world, CallLog())) as service:
                port = free_port(9108)
                prometheus = Prometheus(folder / "prometheus", free_port(9090))
                settings = write_settings(folder, service.url, port)
                command = [sys.executable, "-m", "guard", "run", "--config", str(settings)]
                guard = parts.enter_context(process(command, folder / "guard.log", cwd=ROOT, env=environment()))
                rules = sorted(RULES.glob("*.yaml"))
                scraper = parts.enter_context(prometheus.running(guards=[f"127.0.0.1:{port}"], rules=rules, scrape="2s"))
                greet(service.url, port, prometheus.url, folder)
                trickle = asyncio.create_task(add_forever(world))
                first = asyncio.create_task(tell_first(prometheus, began))
                while not stop.is_set() and guard.poll() is None and scraper.poll() is None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), 0.5)
                trickle.cancel()
                first.cancel()
                code = report_end(folder, asked=stop.is_set())
                # In a thread, because the guard finishes what is on its way, and the simulator answers it from this loop.
                await asyncio.to_thread(parts.close)
                return code
    except LookupError as error:
        say(f"make stack: {error.args[0]}")
        return 1
    finally:
        if stop.is_set():
            shutil.rmtree(folder, ignore_errors=True)


def report_end(folder: Path, *, asked: bool) -> int:
    """
    Say why the stack ends; the logs stay where they are if nobody asked for it.
    """
    if asked:
        say("\nending")
        return 0
    say(f"\na part of the stack has ended; the logs are in {folder}:")
    for log in (folder / "guard.log", folder / "prometheus" / "prometheus.log"):
        if log.is_file():
            say("\n".join(log.read_text(errors="replace").splitlines()[-3:]))
    return 1


def add(world: World, turn: int, *, running_for_s: float = 0) -> None:
    """
    Start the job whose turn it is.
    """
    name, flavor, nodes, annotations = KINDS[turn % len(KINDS)]
    begun_ms = world.now_ms - round(running_for_s * 1000)
    draw = random.Random(turn)
    world.add(
        SimJob(
            id=f"stack-{turn:05d}",
            name=f"{name}-{turn}",
            user=draw.choice(("alice", "bob", "chen.wei", "dana", "li.na")),
            flavor=FLAVORS[flavor],
            node_count=nodes,
            annotations=annotations,
            create_time_ms=begun_ms,
            start_time_ms=begun_ms,
            end_time_ms=begun_ms + draw.randrange(240_000, 900_000),
        )
    )


async def add_forever(world: World) -> None:
    """
    Start a job every few seconds.
    """
    turn = 0
    while True:
        await asyncio.sleep(NEW_JOB_S)
        turn += 1
        add(world, turn)


def write_settings(folder: Path, url: str, port: int) -> Path:
    """
    Write the settings of the guard.
    """
    settings = {
        "targets": [{"name": "simulated", "region": "cn-north-4", "project_id": DEFAULT_PROJECT, "endpoint": url}],
        "armed": True,
        "policies": str(ROOT / "stack" / "policies"),
        "prices": str(ROOT / "stack" / "prices.yaml"),
        "ledger": f"sqlite:///{folder / 'guard.db'}",
        "listen": f"127.0.0.1:{port}",
        "scan_interval": "5s",
        "walk_interval": "1m",
        # Nobody sits there to confirm its policies.
        "breaker": {"first_enforce": None},
    }
    path = folder / "guard.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """
    Return the environment of the guard: the simulator's made-up keys, and nothing of the person's own account or settings.
    """
    keys = {"HUAWEICLOUD_SDK_AK": ACCESS_KEY, "HUAWEICLOUD_SDK_SK": SECRET_KEY}
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **keys}


def greet(service: str, port: int, prometheus: str, folder: Path) -> None:
    """
    Print what there is to look at.
    """
    query = urllib.parse.urlencode({"g0.expr": FIRST, "g0.tab": "0", "g0.range_input": "10m"})
    say(
        f"Prometheus        {prometheus}\n"
        f"  terminations    {prometheus}/graph?{query}\n"
        f"  alerts          {prometheus}/alerts\n"
        f"guard             http://127.0.0.1:{port}/metrics   http://127.0.0.1:{port}/readyz\n"
        f"its log           tail -f {folder / 'guard.log'}\n"
        f"its ledger        GUARD_CONFIG={folder / 'guard.yaml'} {sys.executable} -m guard ledger list\n"
        f"its policies      {ROOT / 'stack' / 'policies' / 'stack.yaml'} (change them while it runs)\n"
        f"ModelArts         {service}/_simulator/log (simulated)\n"
        "\nA job is over its limit within ten seconds. Ctrl-C ends everything."
    )


async def tell_first(prometheus: Prometheus, began: float) -> None:
    """
    Say when the first termination can be seen in Prometheus.
    """
    while True:
        found = await asyncio.to_thread(prometheus.query, f"{FIRST} > 0")
        if found:
            say(f"\nthe first termination stands in Prometheus, {time.monotonic() - began:.0f} s after the start")
            return
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
