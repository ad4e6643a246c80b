"""
The command about the price book.
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from guard import commands
from guard.cli.frame import Output, OutputOption, print_json, screen
from guard.cli.top import ConfigOption, told
from guard.diagnostics import as_json, as_text, tally
from guard.errors import BadInput, PolicyErrors
from guard.policyfiles import read_file
from guard.priced import priced_data
from guard.pricing.book import Books
from guard.screen import plain, table
from guard.settings import load_settings, settings_or_none

prices = typer.Typer(rich_markup_mode=None)
CheckOption = Annotated[
    Path | None, typer.Option("--check", help="Only read this price book and say what is wrong with it.")
]


@prices.command("prices")
def show_prices(config: ConfigOption = None, check: CheckOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Show which entry of the price book prices what is seen, what is seen without a price, and what no longer occurs.
    """
    with told():
        settings = settings_or_none(config) if check else load_settings(config)
        path = check or (settings.prices if settings else None)
        if path is None:
            raise BadInput("there is no price book: name one in the setting 'prices', or with --check")
        contents = read_file(path)
        books = Books(zone=settings.zone if settings else ZoneInfo("UTC"))
        try:
            book = books.load(contents)
        except PolicyErrors as error:
            if output is Output.JSON:
                typer.echo(as_json(error.diagnostics, dict(contents)))
            else:
                screen().print(as_text(error.diagnostics, dict(contents)), soft_wrap=True, end="")
                screen().print(plain(tally(error.diagnostics)))
            raise typer.Exit(commands.BAD_INPUT) from error
        if check or settings is None:
            if output is Output.JSON:
                typer.echo("[]")
            else:
                screen().print(plain(f"ok: {len(book.entries)} prices in {book.currency}"))
            return
        data = priced_data(asyncio.run(commands.priced(settings, book, at_ms=int(time.time() * 1000))))
        if output is Output.JSON:
            print_json(data)
        else:
            _show(data)


def _show(data: dict[str, Any]) -> None:
    rows = [
        (
            one["billing_code"],
            one["pool_id"] or "",
            one["jobs"],
            f"{one['price']} {data['currency']}{' per ' + one['per'] if one['per'] else ''}",
            _which(one) if one["entry"] else "a pool without a shadow price",
        )
        for one in data["priced"]
    ]
    if rows:
        screen().print(table("priced", ("billing code", "pool", "jobs", "price", "by the entry"), rows))
    without = [(one["billing_code"], one["pool_id"] or "", one["jobs"], one["first_seen"][:19]) for one in data["unpriced"]]
    if without:
        screen().print(table("without a price", ("billing code", "pool", "jobs", "first seen"), without))
    if not data["priced"] and not data["unpriced"]:
        screen().print("The ledger knows no live job.")
    unused = [(one["entry"], f"{one['price']} {data['currency']} per {one['per']}", _which(one)) for one in data["unused"]]
    if unused:
        screen().print(table("in the price book, but for no live job", ("entry", "price", "which"), unused))


def _which(one: dict[str, Any]) -> str:
    since = f", valid from {one['valid_from']}" if one["valid_from"] else ""
    return f"{one['entry']}{since} ({one['place']})"
