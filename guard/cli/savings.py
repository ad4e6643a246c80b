"""
The command that tells what terminations saved.
"""

import asyncio
from decimal import Decimal
from typing import Annotated

import typer

from guard import commands
from guard.accounts import saved_rows
from guard.cli.frame import ConfigOption, Output, OutputOption, errors, print_json, screen, told
from guard.reporting.sections import shown
from guard.saved import FIGURES, saved_data, wrong
from guard.screen import plain, table
from guard.settings import load_settings

saving = typer.Typer(rich_markup_mode=None)

HEADS = ("intent", "job", "user", "policy", "lower", "expected", "upper", "assumed", "currency", "group", "ends", "method")


@saving.command()
def savings(
    config: ConfigOption = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Work every figure out again from the ledger alone; 1 if one differs.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    List what each confirmed termination saved: lower, expected and upper, or assumed, and from which like jobs.
    """
    with told():
        rows = asyncio.run(saved_rows(load_settings(config)))
        if recompute:
            found, figures = wrong(rows), sum(one.estimate is not None for one in rows)
            if output is Output.JSON:
                print_json({"terminations": len(rows), "recomputed": figures, "wrong": found})
            else:
                for line in found:
                    errors().print(plain(line), soft_wrap=True)
                said = f"{figures} of {len(rows)} confirmed terminations have an estimate"
                screen().print(
                    plain(f"{said}; {'every figure follows' if not found else 'NOT every figure follows'} from it")
                )
            raise typer.Exit(commands.BAD_INPUT if found else commands.OK)
        data = [saved_data(one) for one in rows]
        if output is Output.JSON:
            print_json(data)
        else:
            screen().print(table("", HEADS, ([_shown(head, one[head]) for head in HEADS] for one in data)))


def _shown(head: str, value: object) -> object:
    if value is None:
        return ""
    return shown(Decimal(str(value))) if head in FIGURES else value
