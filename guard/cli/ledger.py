"""
The commands that read the ledger.
"""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from guard import commands
from guard.cli.frame import Output, OutputOption, errors, print_json, screen
from guard.cli.top import ConfigOption, told
from guard.core.spans import format_span
from guard.moving import STREAM, export_ledger, import_ledger
from guard.report import intent_row, iso, run_row
from guard.screen import plain, show_intents, table
from guard.settings import load_settings

ledger = typer.Typer(help="What was done, when, why, and what it saved.", no_args_is_help=True, rich_markup_mode=None)


@ledger.command("list")
def ledger_list(
    config: ConfigOption = None,
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List intents and their outcomes, newest first.
    """
    with told():
        found = [intent_row(one) for one in asyncio.run(commands.intents(load_settings(config), job_id=job, limit=limit))]
        if output is Output.JSON:
            print_json(found)
        else:
            show_intents(screen(), found)


@ledger.command("show")
def ledger_show(number: int, config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Show one intent: its facts, its reason and every step.
    """
    with told():
        intent, steps = asyncio.run(commands.intent(load_settings(config), number))
        data = {
            **intent_row(intent),
            "facts": dict(intent.draft.facts),
            "steps": [{"at": iso(at), "step": step, "note": note} for at, step, note in steps],
        }
        if output is Output.JSON:
            print_json(data)
            return
        flat = [(key, value) for key, value in data.items() if key not in ("facts", "steps")]
        screen().print(table("", ("what", "value"), flat))
        screen().print(table("", ("fact", "value"), intent.draft.facts.items()))
        screen().print(table("", ("at", "step", "note"), ((iso(at), step, note) for at, step, note in steps)))


@ledger.command("findings")
def ledger_findings(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List matches that led to no call: observed, held back or only notified, newest first.
    """
    with told():
        found = [
            {"at": iso(at), "job": one.key.job_id, "policy": one.policy, "why": one.reason, "reason": one.text}
            for at, one in asyncio.run(commands.findings(load_settings(config), limit=limit))
        ]
        if output is Output.JSON:
            print_json(found)
        else:
            screen().print(table("", ("at", "job", "policy", "why", "reason"), [tuple(one.values()) for one in found]))


@ledger.command("runs")
def ledger_runs(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List runs that are over, newest first: how they ended, after how long, at what cost, and how that was learnt.
    """
    with told():
        found = [run_row(one) for one in asyncio.run(commands.runs(load_settings(config), limit=limit))]
        if output is Output.JSON:
            print_json(found)
            return
        heads = ("ended", "job", "name", "user", "phase", "told", "policy", "running", "cost", "currency")
        for one in found:
            one["ended"] = one["ended"][:19]
            one["cost"] = None if one["cost"] is None else f"{Decimal(one['cost']):,.2f}"
            one["running"] = None if one["running_ms"] is None else format_span(one["running_ms"])
        screen().print(table("", heads, ([one[head] for head in heads] for one in found)))


@ledger.command("export")
def ledger_export(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet; - is the standard output.")],
    config: ConfigOption = None,
) -> None:
    """
    Write the whole ledger as lines of JSON, to move it to another database. Stop the guard first, if it is to move.
    """
    with told():
        rows = asyncio.run(export_ledger(load_settings(config), file))
        screen_of = errors if file == STREAM else screen
        screen_of().print(plain(f"exported {sum(rows.values()):,} rows: {_told(rows)}"), soft_wrap=True)


@ledger.command("import")
def ledger_import(
    file: Annotated[Path, typer.Argument(help="A file that guard ledger export wrote.")], config: ConfigOption = None
) -> None:
    """
    Take a whole exported ledger into the empty one of the settings, all of it or nothing.
    """
    with told():
        rows = asyncio.run(import_ledger(load_settings(config), file))
        screen().print(plain(f"imported {sum(rows.values()):,} rows: {_told(rows)}"), soft_wrap=True)


def _told(rows: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in rows.items())
