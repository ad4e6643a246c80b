"""
The command line: arguments in, exit codes out. What a command does is in ``commands``.

Exit codes: 0 ended as asked, 1 bad input, 2 usage, 3 no target could be read, 4 the ledger cannot be used.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console

from guard import __version__, commands
from guard.app import Outside
from guard.core.policy import PolicySet
from guard.core.records import Pause
from guard.core.spans import parse_span
from guard.demo import DemoOptions, run_demo
from guard.diagnostics import as_json, as_text, tally
from guard.errors import BadInput, GuardError, LedgerUnusable, Severity, TargetError
from guard.explaining import explain_file, explain_job_id
from guard.logs import configure_logs
from guard.policyfiles import check_paths
from guard.policytests import report_data, run_tests
from guard.report import explained_data, intent_row, iso
from guard.schema import SchemaKind, schema_of
from guard.screen import plain, show_explained, show_intents, show_scan, table
from guard.settings import load_settings, settings_or_none
from guard.simulate import simulate_forever
from guard.testscreen import show_tests

PIPE_WIDTH = 160

app = typer.Typer(
    name="guard",
    help="Stops Huawei Cloud ModelArts training jobs that break cost policy, at the second they break it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ledger_app = typer.Typer(help="What was done, when, why, and what it saved.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger_app, name="ledger")


class Output(StrEnum):
    """
    Tables for people, JSON for machines.
    """

    TABLE = "table"
    JSON = "json"


ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GUARD_CONFIG", help="The settings file (YAML).")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


def main() -> None:
    """
    Run the command line.
    """
    app()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """
    Turn the errors that a person can mend into one message and an exit code, without a traceback.
    """
    try:
        yield
    except LedgerUnusable as error:
        raise _ended(error, commands.NO_LEDGER) from error
    except TargetError as error:
        raise _ended(error, commands.NO_TARGET) from error
    except GuardError as error:
        raise _ended(error, commands.BAD_INPUT) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error


def _ended(error: GuardError, code: int) -> typer.Exit:
    for line in str(error).splitlines() or [type(error).__name__]:
        _errors().print(plain(line), soft_wrap=True)
    return typer.Exit(code)


def _errors() -> Console:
    return Console(stderr=True, highlight=False)


def _screen() -> Console:
    # A pipe has no width; what is read by grep must not be folded at that of an old terminal.
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


@app.command()
def run(config: ConfigOption = None) -> None:
    """
    Run the daemon: walk the targets, act at the second a policy is broken, serve metrics.
    """
    with _told():
        configure_logs()
        raise typer.Exit(asyncio.run(commands.run(load_settings(config), Outside())))


@app.command()
def scan(
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    wait: Annotated[str, typer.Option(help="How long to wait for outcomes, for example 30s.")] = "30s",
) -> None:
    """
    Run one cycle over every target and print what matched and what was done; obeys arming and modes like the daemon.
    """
    with _told():
        configure_logs(quiet=True)
        report, code = asyncio.run(commands.scan(load_settings(config), Outside(), wait_s=_span_ms(wait, "--wait") / 1000))
        if output is Output.JSON:
            _print_json(asdict(report))
        else:
            show_scan(_screen(), report)
        raise typer.Exit(code)


@app.command()
def check(config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Look at every target: credentials, clock, jobs, users, workspaces, flavors. Never terminates anything.
    """
    with _told():
        configure_logs(quiet=True)
        found, code = asyncio.run(commands.check(load_settings(config), Outside()))
        if output is Output.JSON:
            _print_json([dict(zip(("target", "what", "finding"), one, strict=True)) for one in found])
        else:
            _screen().print(table("", ("target", "what", "finding"), found))
        raise typer.Exit(code)


@app.command()
def demo(
    seconds: Annotated[int, typer.Option(min=5, help="How long to run, in real seconds.")] = 60,
    keep: Annotated[bool, typer.Option("--keep", help="Run on until interrupted.")] = False,
    output: OutputOption = Output.TABLE,
    seed: Annotated[int, typer.Option(help="Which simulated jobs there are.")] = 7,
) -> None:
    """
    Watch the guard work, with no account and no network: simulator and armed daemon on loopback, time sped up.
    """
    with _told():
        options = DemoOptions(seconds=None if keep else seconds, seed=seed, as_json=output is Output.JSON)
        raise typer.Exit(asyncio.run(run_demo(options, _screen())))


@app.command()
def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")] = 9180,
    jobs: Annotated[int, typer.Option(min=0, max=100_000, help="How many jobs to begin with.")] = 40,
    seed: Annotated[int, typer.Option(help="Which jobs.")] = 7,
    knobs: Annotated[Path | None, typer.Option(help="A JSON file of knobs: faults, the meaning of offset, ...")] = None,
) -> None:
    """
    Run the ModelArts simulator alone, for trying settings and policies without an account.
    """
    with _told():
        asyncio.run(simulate_forever(port=port, jobs=jobs, seed=seed, knobs=knobs, console=_screen()))


@app.command()
def validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Policy files or folders; default: policies/.")] = None,
    timezone: Annotated[str, typer.Option(help="The time zone of bare dates.")] = "UTC",
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Print every error of every policy file, with line and column, and warnings about policies that surely do not do what
    they say. Ends with 1 if there is an error.
    """
    with _told():
        found = check_paths(paths or [Path("policies")], zone=_zone(timezone), now_ms=int(time.time() * 1000))
        told = [replace(one, severity=Severity.ERROR) if strict else one for one in found.diagnostics]
        wrong = any(one.severity is Severity.ERROR for one in told)
        if output is Output.JSON:
            sys.stdout.write(as_json(told, found.contents) + "\n")
        else:
            _screen().print(as_text(told, found.contents), soft_wrap=True, end="")
            summary = ["" if wrong or found.policies is None else _taken(found.policies), tally(told)]
            _screen().print(plain("; ".join(part for part in summary if part)), soft_wrap=True)
        if wrong:
            raise typer.Exit(commands.BAD_INPUT)


def _taken(policies: PolicySet) -> str:
    names = ", ".join(f"{one.name} ({one.mode.value})" for one in policies.policies) or "none"
    return f"ok: {len(policies.policies)} policies: {names}; {len(policies.exemptions)} exemptions"


@app.command()
def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="Of which file: policies, settings or prices.")] = SchemaKind.POLICIES,
) -> None:
    """
    Print the JSON Schema of policy files, of the settings file or of the price book, for editors.
    """
    _print_json(schema_of(kind))


@app.command("test")
def run_policy_tests(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders, policy files or files of tests; default: policies/.")
    ] = None,
    only: Annotated[str, typer.Option("-k", help="Only tests in whose file or name this text stands.")] = "",
    allow_untested: Annotated[
        bool, typer.Option("--allow-untested", help="Take policies without a test that they stop or spare a job.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every test, not only those that fail.")] = False,
    output: OutputOption = Output.TABLE,
    timezone: Annotated[str, typer.Option(help="The time zone of bare dates.")] = "UTC",
) -> None:
    """
    Run the policy tests (*.test.yaml): jobs as facts, moments, and the verdicts that are expected then.
    """
    with _told():
        report = run_tests(paths or [Path("policies")], zone=_zone(timezone), only=only, allow_untested=allow_untested)
        if output is Output.JSON:
            _print_json(report_data(report))
        else:
            show_tests(_screen(), report, every=verbose)
        raise typer.Exit(commands.OK if report.passed else commands.BAD_INPUT)


@app.command()
def explain(
    job: Annotated[str, typer.Argument(help="The id of a job, or a JSON file that holds one as the service gives it.")],
    at: Annotated[str | None, typer.Option(help="Of a file: the moment, as 2026-01-31T12:00:00Z; default: now.")] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show every policy on one job: what follows, each clause with the actual value, when it turns, the exemptions.
    """
    with _told():
        configure_logs(quiet=True)
        if Path(job).is_file():
            found = explain_file(settings_or_none(config), Path(job), at_ms=_moment_ms(at))
        else:
            found = asyncio.run(explain_job_id(load_settings(config), Outside(), job))
        if output is Output.TABLE:
            show_explained(_screen(), found)
        else:
            _print_json(explained_data(found))


@app.command()
def pause(
    reason: Annotated[str, typer.Option(help="Why; shown wherever a termination is held back.")],
    duration: Annotated[str | None, typer.Option("--for", help="How long, for example 2h; default: until resume.")] = None,
    by: Annotated[str, typer.Option(help="Who.", envvar="USER")] = "",
    config: ConfigOption = None,
) -> None:
    """
    Pull the kill switch: nothing is terminated any more, from the very next call on.
    """
    with _told():
        now_ms = int(time.time() * 1000)
        until = None if duration is None else now_ms + _span_ms(duration, "--for")
        asyncio.run(commands.set_pause(load_settings(config), Pause(reason=reason, since_ms=now_ms, until_ms=until, by=by)))
        _screen().print(plain(f"paused {'until ' + str(iso(until)) if until else 'until guard resume'}: {reason}"))


@app.command()
def resume(config: ConfigOption = None) -> None:
    """
    Lift the kill switch of the ledger. A pause file stays in force until it is removed.
    """
    with _told():
        asyncio.run(commands.set_pause(load_settings(config), None))
        _screen().print("resumed")


@ledger_app.command("list")
def ledger_list(
    config: ConfigOption = None,
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List intents and their outcomes, newest first.
    """
    with _told():
        found = [intent_row(one) for one in asyncio.run(commands.intents(load_settings(config), job_id=job, limit=limit))]
        if output is Output.JSON:
            _print_json(found)
        else:
            show_intents(_screen(), found)


@ledger_app.command("show")
def ledger_show(number: int, config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Show one intent: its facts, its reason and every step.
    """
    with _told():
        intent, steps = asyncio.run(commands.intent(load_settings(config), number))
        data = {
            **intent_row(intent),
            "facts": dict(intent.draft.facts),
            "steps": [{"at": iso(at), "step": step, "note": note} for at, step, note in steps],
        }
        if output is Output.JSON:
            _print_json(data)
            return
        flat = [(key, value) for key, value in data.items() if key not in ("facts", "steps")]
        _screen().print(table("", ("what", "value"), flat))
        _screen().print(table("", ("fact", "value"), intent.draft.facts.items()))
        _screen().print(table("", ("at", "step", "note"), ((iso(at), step, note) for at, step, note in steps)))


@ledger_app.command("findings")
def ledger_findings(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List matches that led to no call: observed, held back or only notified, newest first.
    """
    with _told():
        found = [
            {"at": iso(at), "job": one.key.job_id, "policy": one.policy, "why": one.reason, "reason": one.text}
            for at, one in asyncio.run(commands.findings(load_settings(config), limit=limit))
        ]
        if output is Output.JSON:
            _print_json(found)
        else:
            _screen().print(table("", ("at", "job", "policy", "why", "reason"), [tuple(one.values()) for one in found]))


def _span_ms(text: str, option: str) -> int:
    span_ms = parse_span(text)
    if span_ms is None:
        raise BadInput(f"{option}: expected a span such as 30s, 15m or 24h, got {text!r}")
    return span_ms


def _moment_ms(text: str | None) -> int:
    if text is None:
        return int(time.time() * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--at: expected a moment such as 2026-01-31T12:00:00Z, got {text!r}") from error
    if moment.tzinfo is None:
        raise BadInput(f"--at: {text!r} has no offset; add Z or +08:00")
    return round(moment.timestamp() * 1000)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadInput(f"--timezone: expected an IANA time zone such as UTC or Asia/Shanghai, got {name!r}") from error
