"""
The commands of the audit: where the chains end, whether anything was changed, and an export.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import sqlalchemy as sa
import typer
from rich.console import Console

from guard import commands
from guard.audited import Printing, kept_heads, verify_file
from guard.cli.frame import Output, OutputOption, print_json, screen
from guard.cli.spend import bound_ms
from guard.cli.top import ConfigOption, told
from guard.core.hashchain import Head
from guard.ledger.audit import heads
from guard.ledger.auditing import Verified, verify
from guard.screen import plain, table
from guard.settings import Settings, load_settings
from guard.spendscreen import counting

T = TypeVar("T")

auditing = typer.Typer(
    help="What the guard did, in a chain that shows whether it was changed.", no_args_is_help=True, rich_markup_mode=None
)

HeadOption = Annotated[
    list[str] | None,
    typer.Option(
        "--head", help="TARGET:POSITION:HASH as it was kept elsewhere, or a file of such lines or of the guard's log."
    ),
]


@auditing.command("head")
def audit_head(config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Print where each chain ends, as TARGET:POSITION:HASH; keep it where whoever can write to the ledger cannot.
    """
    with told():
        found = asyncio.run(_look(load_settings(config), "give the heads", heads))
        if output is Output.JSON:
            print_json([_head(one) for one in found])
        else:
            for one in found:
                screen().print(plain(one), soft_wrap=True)


@auditing.command("verify")
def audit_verify(
    config: ConfigOption = None,
    head: HeadOption = None,
    file: Annotated[Path | None, typer.Option("--file", help="An export, which is verified without a ledger.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Find every entry and every covered row that was changed, removed, moved or cut off; ends with 1 if there is one.
    """
    with told():
        kept = kept_heads(head or ())
        with counting(Console(stderr=True), "audit") as progress:
            if file is not None:
                found = verify_file(file, kept, progress)
            else:
                found = asyncio.run(_look(load_settings(config), "be verified", lambda at: verify(at, kept, progress)))
        if output is Output.JSON:
            print_json(_data(found))
        else:
            _show(found)
        raise typer.Exit(commands.BAD_INPUT if found.differences else commands.OK)


@auditing.command("export")
def audit_export(
    config: ConfigOption = None,
    since: Annotated[str | None, typer.Option("--from", help="A date, or a moment with its offset; default: all.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="A date, to whose end, or a moment with its offset.")] = None,
) -> None:
    """
    Print the entries as JSON lines that `guard audit verify --file` verifies without the ledger.
    """
    with told():
        settings = load_settings(config)
        from_ms = None if since is None else bound_ms("--from", since, settings.zone, begin=True)
        to_ms = None if to is None else bound_ms("--to", to, settings.zone, begin=False)

        printing = Printing(out=sys.stdout, from_ms=from_ms, to_ms=to_ms)
        asyncio.run(_look(settings, "be exported", printing))


async def _look(settings: Settings, what: str, work: Callable[[sa.Connection], T]) -> T:
    async with commands.recorded(settings) as ledger:
        return await ledger.read(what, work)


def _data(found: Verified) -> dict[str, object]:
    return {
        "ok": not found.differences,
        "entries": found.entries,
        "heads": [_head(one) for one in found.heads],
        "kept_heads": {"given": found.kept, "met": found.compared},
        "differences": [
            {"target": one.chain, "position": one.position, "intent": one.intent, "what": one.what}
            for one in found.differences
        ],
        "more": found.more,
    }


def _head(head: Head) -> dict[str, object]:
    return {"target": head.chain, "position": head.position, "hash": head.hash}


def _show(found: Verified) -> None:
    console, count = screen(), len(found.differences) + found.more
    if found.differences:
        rows = [(one.chain, one.position, one.intent, one.what) for one in found.differences]
        console.print(table("", ("target", "position", "intent", "what"), rows))
    verdict = f"{count} {'difference' if count == 1 else 'differences'}" if count else "nothing was changed"
    against = f"{found.compared} of {found.kept} kept heads met"
    if not found.kept:
        against = "without a head that was kept elsewhere (--head), a chain written anew as a whole would not show"
    of = f"{found.entries} entries of {len(found.heads)} {'chain' if len(found.heads) == 1 else 'chains'}"
    console.print(plain(f"{verdict} in {of}; {against}"), soft_wrap=True)
