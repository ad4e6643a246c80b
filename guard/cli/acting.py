"""
The commands that watch and act: one cycle, the check, demo, simulator, explanation and kill switch.
"""

import asyncio
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guard import commands
from guard.accounts import policy_hindsight
from guard.app import Outside, terms_of
from guard.breaking import set_pause
from guard.cli.frame import Output, OutputOption, moment_ms, print_json, screen, span_ms
from guard.cli.top import ConfigOption, told
from guard.core.records import Pause
from guard.explained import explained_data
from guard.explaining import check_policy, explain_file, explain_job_id
from guard.logs import configure_logs
from guard.report import iso
from guard.reporting.texts import as_json, as_tables
from guard.reporting.whole import of_policy
from guard.screen import plain, show_explained, show_scan, table, walking
from guard.settings import Settings, load_settings, settings_or_none

acting = typer.Typer(rich_markup_mode=None)


@acting.command()
def scan(
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    wait: Annotated[str, typer.Option(help="How long to wait for outcomes, for example 30s.")] = "30s",
) -> None:
    """
    Run one cycle over every target and print what matched and what was done; obeys arming and modes like the daemon.
    """
    with told():
        configure_logs(quiet=True)
        settings, wait_s = load_settings(config), span_ms(wait, "--wait") / 1000
        with walking(Console(stderr=True)) as progress:
            report, code = asyncio.run(commands.scan(settings, Outside(), wait_s=wait_s, progress=progress))
        if output is Output.JSON:
            print_json(asdict(report))
        else:
            show_scan(screen(), report)
        raise typer.Exit(code)


@acting.command()
def check(config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Look at every target: credentials, clock, jobs, users, workspaces, flavors. Never terminates anything.
    """
    with told():
        configure_logs(quiet=True)
        found, code = asyncio.run(commands.check(load_settings(config), Outside()))
        if output is Output.JSON:
            print_json([dict(zip(("target", "what", "finding"), one, strict=True)) for one in found])
        else:
            screen().print(table("", ("target", "what", "finding"), found))
        raise typer.Exit(code)


@acting.command()
def demo(
    seconds: Annotated[int, typer.Option(min=5, help="How long to run, in real seconds.")] = 60,
    keep: Annotated[bool, typer.Option("--keep", help="Run on until interrupted.")] = False,
    output: OutputOption = Output.TABLE,
    seed: Annotated[int, typer.Option(help="Which simulated jobs there are.")] = 7,
) -> None:
    """
    Watch the guard work, with no account and no network: simulator and armed daemon on loopback, time sped up.
    """
    # Only here: a daemon has no use for the simulator.
    from guard.demo import DemoOptions, run_demo

    with told():
        options = DemoOptions(seconds=None if keep else seconds, seed=seed, as_json=output is Output.JSON)
        raise typer.Exit(asyncio.run(run_demo(options, screen())))


@acting.command()
def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")] = 9180,
    jobs: Annotated[int, typer.Option(min=0, max=100_000, help="How many jobs to begin with.")] = 40,
    seed: Annotated[int, typer.Option(help="Which jobs.")] = 7,
    knobs: Annotated[Path | None, typer.Option(help="A JSON file of knobs: faults, the meaning of offset, ...")] = None,
) -> None:
    """
    Run the ModelArts simulator alone, for trying settings and policies without an account.
    """
    from guard.simulate import simulate_forever

    with told():
        asyncio.run(simulate_forever(port=port, jobs=jobs, seed=seed, knobs=knobs, console=screen()))


@acting.command()
def explain(
    job: Annotated[
        str | None, typer.Argument(help="The id of a job, or a JSON file that holds one as the service gives it.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Of a file: the moment, as 2026-01-31T12:00:00Z; default: now.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="Instead of a job: what this policy would have done while it only observed.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show every policy on one job: what follows, each clause with the actual value, when it turns, the exemptions. Of one
    policy show what it would have saved so far, and whom it would have hurt.
    """
    with told():
        configure_logs(quiet=True)
        if policy is not None and job is None:
            _explain_policy(load_settings(config), policy, output)
            return
        if policy is not None or job is None:
            raise typer.BadParameter("give either a job or --policy NAME")
        if Path(job).is_file():
            found = explain_file(settings_or_none(config), Path(job), at_ms=moment_ms(at))
        else:
            found = asyncio.run(explain_job_id(load_settings(config), Outside(), job))
        if output is Output.TABLE:
            show_explained(screen(), found)
        else:
            print_json(explained_data(found))


def _explain_policy(settings: Settings, name: str, output: Output) -> None:
    now_ms = int(time.time() * 1000)
    found = asyncio.run(policy_hindsight(settings, terms_of(settings), name, now_ms=now_ms))
    if not found:
        check_policy(settings, name)
    made = of_policy(name, found, horizon_ms=settings.savings_horizon, now_ms=now_ms)
    if output is Output.JSON:
        sys.stdout.write(as_json(made))
    elif found:
        screen().print(as_tables(made))
    else:
        screen().print(plain(f"policy {name} has met no job so far while it only observed"), soft_wrap=True)


@acting.command()
def pause(
    reason: Annotated[str, typer.Option(help="Why; shown wherever a termination is held back.")],
    duration: Annotated[str | None, typer.Option("--for", help="How long, for example 2h; default: until resume.")] = None,
    by: Annotated[str, typer.Option(help="Who.", envvar="USER")] = "",
    config: ConfigOption = None,
) -> None:
    """
    Pull the kill switch: nothing is terminated any more, from the very next call on.
    """
    with told():
        now_ms = int(time.time() * 1000)
        until = None if duration is None else now_ms + span_ms(duration, "--for")
        pulled = Pause(reason=reason, since_ms=now_ms, until_ms=until, by=by)
        ledger = asyncio.run(set_pause(load_settings(config), pulled, at_ms=now_ms))
        end = f"until {iso(until)}" if until else "until guard resume"
        screen().print(plain(f"paused {end}: {reason} (ledger {ledger})"))


@acting.command()
def resume(config: ConfigOption = None) -> None:
    """
    Lift the kill switch of the ledger. A pause file stays in force until it is removed.
    """
    with told():
        ledger = asyncio.run(set_pause(load_settings(config), None, at_ms=int(time.time() * 1000)))
        screen().print(plain(f"resumed (ledger {ledger})"))
