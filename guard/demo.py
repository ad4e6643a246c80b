"""
``guard demo``: the simulator and an armed daemon on loopback, with time sped up, and a voice that tells what happens.

Everything but the clock and the account is the real thing: the client signs, the ledger is on disk, metrics are served.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console

from guard import commands
from guard.app import Outside, Wired
from guard.core.protocol import Outcome
from guard.core.records import Intent
from guard.core.spans import HOUR_MS, MINUTE_MS
from guard.daemon.clocks import ScaledClock
from guard.demospend import money_data, money_table, tell_spend
from guard.report import intent_row, iso
from guard.screen import plain, table
from guard.settings import Settings, fixed_settings, shipped_policies
from guard.simulate import ACCESS_KEY, SECRET_KEY
from guard.simulator import FLAVORS, CallLog, Knobs, SimJob, World, create_app, populate, serve
from guard.simulator.world import DEFAULT_PROJECT, DEFAULT_SITE

SPEED = 60.0
BACKGROUND_JOBS = 24
PRICES = """\
currency: CNY
prices:
  modelarts.vm.gpu.p100.eco: 3.50
  modelarts.vm.gpu.pnt1.eco: 2.80
  modelarts.vm.gpu.free: 0
  modelarts.vm.cpu.2u: 0.30
  modelarts.vm.cpu.8u: 1.10
  modelarts.kat1.xlarge: 9.80
  modelarts.kat1.8xlarge: 76.00
  modelarts.p3.large: 14.20
  modelarts.p3.8xlarge: 110.00
  modelarts.kat1.large: 9.80
  modelarts.kat1.8x: 76.00
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """
    *seconds* of real time to run, None without end; *seed* decides which background jobs there are.
    """

    seconds: float | None = 60
    seed: int = 7
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """
    What a demo left behind: the simulated world, the service's own log of calls, and the ledger's intents.
    """

    world: World
    calls: CallLog
    intents: Sequence[Intent]


async def run_demo(options: DemoOptions, console: Console) -> int:
    """
    Play the demo in a folder of its own and print the summary; returns the exit code.
    """
    with tempfile.TemporaryDirectory(prefix="guard-demo-") as folder:
        played = await play(options, Path(folder), None if options.as_json else console)
        summary = summarise(played)
        if options.as_json:
            console.file.write(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        else:
            _print_summary(console, played, summary)
    return commands.OK if summary["log_and_ledger_agree"] else commands.BAD_INPUT


async def play(options: DemoOptions, folder: Path, console: Console | None) -> Played:
    """
    Run simulator and daemon until the time is over, every intent settled.
    """
    clock = ScaledClock(speed=SPEED)
    calls = CallLog()
    world = World(Knobs(verify_signatures=True, access_keys={ACCESS_KEY: SECRET_KEY}), clock.now, site=DEFAULT_SITE)
    _stage(world, options.seed)
    _speak(console, clock, {job.id: job.name for job in world.live()})
    async with await serve(create_app(world, calls)) as server:
        settings = _settings(folder, server.url)
        credentials = {"HUAWEICLOUD_SDK_AK": ACCESS_KEY, "HUAWEICLOUD_SDK_SK": SECRET_KEY}

        async def beside(guard: Wired, port: int) -> None:
            if console is not None:
                console.print(f"simulated ModelArts: {server.url}   metrics: http://127.0.0.1:{port}/metrics")
                console.print(
                    "no policy waits for guard breaker confirm here (first_enforce: null); yours would after 3 jobs"
                )
                console.print(f"time runs {SPEED:.0f} times as fast: a second here is a minute there\n", style="bold")
            telling = asyncio.create_task(tell_spend(guard, lambda line: _tell(console, clock, line)))
            await asyncio.Event().wait() if options.seconds is None else await asyncio.sleep(options.seconds)
            telling.cancel()

        await commands.run(settings, Outside(clock=clock, environment=credentials), beside=beside)
        async with commands.recorded(settings) as ledger:
            intents = await ledger.intents(limit=1000)
    return Played(world=world, calls=calls, intents=intents)


def _settings(folder: Path, url: str) -> Settings:
    prices = folder / "prices.yaml"
    prices.write_text(PRICES, encoding="utf-8")
    target = {"name": "demo", "region": "cn-north-4", "project_id": DEFAULT_PROJECT, "endpoint": url}
    return fixed_settings(
        targets=[target],
        armed=True,
        policies=shipped_policies() / "demo",
        prices=prices,
        ledger=f"sqlite:///{folder / 'guard.db'}",
        listen="127.0.0.1:0",
        scan_interval="1m",
        walk_interval="5m",
        limits={"window": "2h", "max_terminations": 9, "max_percent_of_running": 50},
        breaker={"first_enforce": None},
    )


def _stage(world: World, seed: int) -> None:
    """
    Put jobs on the stage: a busy background, some that broke a policy before, and some that are about to.
    """
    populate(world, BACKGROUND_JOBS, seed=seed, quirk_share=0.1)
    now = world.now_ms
    p100, ascend = FLAVORS["modelarts.vm.p100.large.eco"], FLAVORS["modelarts.bm.snt9.xlarge.8"]
    big = FLAVORS["modelarts.p3.8xlarge.public"]

    def runs(name: str, user: str, *, for_ms: int, **facts: Any) -> None:
        begun = now - for_ms
        world.add(
            SimJob(id=f"demo-{name}", name=name, user=user, create_time_ms=begun - MINUTE_MS, start_time_ms=begun, **facts)
        )

    runs("forgotten-sweep", "bob", for_ms=30 * HOUR_MS, flavor=p100, node_count=4)
    runs("night-run", "dana", for_ms=24 * HOUR_MS - 6 * MINUTE_MS, flavor=p100, node_count=3)
    runs("two-nodes-only", "li.na", for_ms=26 * HOUR_MS, flavor=p100, node_count=2)
    runs("pretraining", "guo_li", for_ms=12 * HOUR_MS - 9 * MINUTE_MS, flavor=ascend, node_count=4)
    keep = {"cost-guard/keep": "yes"}
    runs("agreed-pretraining", "guo_li", for_ms=40 * HOUR_MS, flavor=ascend, node_count=8, annotations=keep)
    runs("big-model", "hugo", for_ms=20 * HOUR_MS - 20 * MINUTE_MS, flavor=big, node_count=1)
    runs("clockless", "farah", for_ms=90 * HOUR_MS, flavor=p100, node_count=4, quirk="null-status")
    world.add(
        SimJob(id="demo-stuck", name="stuck", user="emil", flavor=big, node_count=8, create_time_ms=now - 345 * MINUTE_MS)
    )


def _speak(console: Console | None, clock: ScaledClock, names: Mapping[str, str]) -> None:
    """
    Send the guard's log to a voice that tells the main events; all else stays unsaid.
    """

    def tell(_: Any, __: str, event: Any) -> Any:
        if line := _line(event, names):
            _tell(console, clock, line)
        raise structlog.DropEvent

    structlog.configure(processors=[tell])


def _tell(console: Console | None, clock: ScaledClock, line: str) -> None:
    if console is not None:
        console.print(plain(f"{datetime.fromtimestamp(clock.now(), UTC):%H:%M:%S}  {line}"), soft_wrap=True)


def _line(event: dict[str, Any], names: Mapping[str, str]) -> str:
    job = names.get(str(event.get("job", "")), "")
    match event["event"]:
        case "policies.taken":
            return f"in force: {', '.join(event['enforce'])}; only observed: {', '.join(event['observe'])}"
        case "termination.accepted":
            late_ms = (event["lateness_ms"] or 0) / SPEED
            return f"STOP       {job}  by {event['policy']}: {event['reason']}  [{late_ms:.0f} ms after it was due]"
        case "termination.settled":
            return f"{event['outcome']:<10} {job}: {event['note']}"
        case "termination.held_back":
            return f"held back  {job}: {event['policy']} matches, but {event['why']}: {event['reason']}"
        case "policy.observed":
            return f"observed   {job}: {event['policy']}: {event['reason']}"
        case "scan.failed" | "policies.refused" | "ledger.failed" | "termination.interrupted":
            return f"TROUBLE    {event}"
    return ""


def summarise(played: Played) -> dict[str, Any]:
    """
    Return the summary: what was stopped by the ledger, by the service's own log, and by the fates of the jobs.
    """
    confirmed = [one for one in played.intents if one.outcome is Outcome.CONFIRMED]
    in_ledger = sorted(one.draft.key.job_id for one in confirmed)
    in_log = sorted(played.calls.accepted_terminations())
    in_fates = sorted(job for job, fate in played.world.fates().items() if fate["why"] == "terminated")
    saved = sum((one.savings_upper for one in confirmed if one.savings_upper is not None), start=0)
    lateness = [one.lateness_ms for one in confirmed if one.lateness_ms is not None]
    return {
        "ended_at": iso(played.world.now_ms),
        "jobs": len(played.world.fates()),
        "stopped": in_ledger,
        "by_the_service_log": in_log,
        "by_the_fates": in_fates,
        "log_and_ledger_agree": in_ledger == in_log == in_fates,
        "worst_lateness_seconds": max(lateness, default=0) / 1000,
        "savings_upper": {"CNY": str(saved)},
        "money": money_data(played.intents),
        "intents": [intent_row(one) for one in played.intents],
    }


def _print_summary(console: Console, played: Played, summary: dict[str, Any]) -> None:
    rows = []
    for one in sorted(played.intents, key=lambda intent: intent.number):
        late = "" if one.lateness_ms is None else f"{one.lateness_ms / SPEED:.0f} ms"
        cost = "unknown" if one.cost is None else f"{one.cost:,.2f} {one.draft.currency}"
        saved = "" if one.savings_upper is None else f"{one.savings_upper:,.2f} {one.draft.currency}"
        outcome = one.outcome.value if one.outcome else f"open ({one.state.value})"
        facts = one.draft.facts
        rows.append((facts["name"], facts["user"], one.draft.policy, outcome, late, cost, saved))
    console.print()
    console.print(table("", ("job", "user", "stopped by", "outcome", "late (real)", "had cost", "saved at most"), rows))
    console.print(f"{len(summary['stopped'])} jobs stopped, {summary['jobs'] - len(summary['stopped'])} left alone")
    worst_ms = summary["worst_lateness_seconds"] * 1000 / SPEED
    console.print(f"worst lateness: {worst_ms:.0f} ms of real time, from due to the accepted call")
    console.print(money_table(played.intents, "CNY"))
    agree = "agree" if summary["log_and_ledger_agree"] else "DO NOT AGREE"
    console.print(f"the service's own log, the ledger and the fates of the jobs {agree}", style="bold")
