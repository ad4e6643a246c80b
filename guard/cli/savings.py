"""
The command that tells what terminations saved.
"""

import asyncio
import json
import sys
from collections import deque
from decimal import Decimal
from typing import Annotated

import typer

from guard import commands
from guard.accounts import saved_rows
from guard.cli.frame import Output, OutputOption, errors, print_json, screen
from guard.cli.top import ConfigOption, told
from guard.commands import recorded
from guard.gathered import NEWEST
from guard.reporting.sections import shown
from guard.saved import FIGURES, Check, saved_data
from guard.screen import plain, table
from guard.settings import Settings, load_settings

saving = typer.Typer(rich_markup_mode=None)

HEADS = ("intent", "job", "user", "policy", "lower", "expected", "upper", "assumed", "currency", "group", "ends", "method")
MOST_WRONG = 1_000
WHOSE = {
    "savings": "of confirmed terminations",
    "potential": "of what observed runs cost after the match",
    "forecasts": "of what an estimate at the match expected of them",
}


@saving.command()
def savings(
    config: ConfigOption = None,
    recompute: Annotated[
        bool,
        typer.Option(
            "--recompute", help="Work every stored figure out again from the ledger alone; exit code 1 if one differs."
        ),
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List what each confirmed termination saved: lower, expected and upper, or assumed, and from which like jobs.
    """
    with told():
        settings = load_settings(config)
        if recompute:
            check = asyncio.run(_checked(settings))
            _tell(check, output)
            raise typer.Exit(commands.BAD_INPUT if check.wrong else commands.OK)
        if output is Output.JSON:
            asyncio.run(_write(settings))
            return
        newest, all_of_them = asyncio.run(_newest(settings))
        screen().print(table("", HEADS, ([_shown(head, one[head]) for head in HEADS] for one in newest)))
        if all_of_them > len(newest):
            screen().print(plain(f"the newest {len(newest)} of {all_of_them}; --output json lists all of them"))


async def _checked(settings: Settings) -> Check:
    check = Check()
    async with recorded(settings) as ledger:
        async for rows in saved_rows(ledger):
            for row in rows:
                check.termination(row)
        async for page in ledger.forecasts.kept():
            for one in page:
                check.match(one)
    return check


def _tell(check: Check, output: Output) -> None:
    if output is Output.JSON:
        print_json(
            {
                "terminations": check.terminations,
                "estimates": check.estimates,
                "matches": check.matches,
                "forecasts": check.forecasts,
                "recomputed": check.recomputed,
                "equal": check.equal,
                "figures": {kind: {"recomputed": total, "equal": equal} for kind, (total, equal) in check.figures.items()},
                "wrong": check.wrong,
            }
        )
        return
    for line in check.wrong[:MOST_WRONG]:
        errors().print(plain(line), soft_wrap=True)
    lines = [
        f"{check.estimates} of {check.terminations} confirmed terminations have an estimate, "
        f"{check.forecasts} of {check.matches} observed matches a forecast",
        *(f"{equal} of {total} figures {WHOSE[kind]} are equal" for kind, (total, equal) in check.figures.items()),
        f"{check.recomputed} figures were worked out again, and {check.equal} of them are equal; "
        + (
            f"NOT every figure follows from the ledger: {len(check.wrong)} differences"
            if check.wrong
            else "every figure follows"
        ),
    ]
    for line in lines:
        screen().print(plain(line), soft_wrap=True)


async def _write(settings: Settings) -> None:
    """
    Write all of them as one JSON list, page by page.
    """
    before = "["
    async with recorded(settings) as ledger:
        async for rows in saved_rows(ledger):
            for row in rows:
                sys.stdout.write(f"{before}\n  {json.dumps(saved_data(row))}")
                before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


async def _newest(settings: Settings) -> tuple[list[dict[str, object]], int]:
    newest, number = deque[dict[str, object]](maxlen=NEWEST), 0
    async with recorded(settings) as ledger:
        async for rows in saved_rows(ledger):
            newest.extend(map(saved_data, rows))
            number += len(rows)
    return list(newest), number


def _shown(head: str, value: object) -> object:
    if value is None:
        return ""
    return shown(Decimal(str(value))) if head in FIGURES else value
