"""
The command that reports.
"""

import asyncio
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from guard.accounts import account
from guard.app import method_of, terms_of
from guard.cli.frame import screen
from guard.cli.spend import SinceOption, ToOption, period_of
from guard.cli.top import ConfigOption, told
from guard.reporting.page import as_html
from guard.reporting.texts import as_csv, as_json, as_markdown, as_tables
from guard.reporting.whole import whole
from guard.settings import load_settings
from guard.spending import Question
from guard.spendscreen import counting

reported = typer.Typer(rich_markup_mode=None)


class By(StrEnum):
    """
    What a report is grouped by.
    """

    USER = "user"
    POLICY = "policy"
    BILLING_CODE = "billing_code"
    TARGET = "target"
    DAY = "day"


class Form(StrEnum):
    """
    How a report is written.
    """

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"


WRITERS = {Form.JSON: as_json, Form.CSV: as_csv, Form.MARKDOWN: as_markdown, Form.HTML: as_html}


@reported.command()
def report(
    config: ConfigOption = None,
    since: SinceOption = None,
    to: ToOption = None,
    by: Annotated[By, typer.Option(help="What to group by.")] = By.USER,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="How to write it; html is one file for a mail.")
    ] = Form.TABLE,
) -> None:
    """
    Report a time: spend, terminations, savings with their bounds and method, who, and jobs without a price.
    """
    with told():
        settings, now_ms = load_settings(config), int(time.time() * 1000)
        asked = Question(
            period=period_of(since, to, zone=settings.zone, now_ms=now_ms),
            by=(by.value,),
            zone=settings.zone,
            terms=terms_of(settings),
            now_ms=now_ms,
        )
        with counting(Console(stderr=True)) as progress:
            found = asyncio.run(account(settings, asked, progress))
        method = method_of(settings)
        made = whole(found, horizon_ms=method.horizon_ms, min_ends=method.min_ends)
        if output is Form.TABLE:
            screen().print(as_tables(made))
        else:
            # In UTF-8 whatever the terminal's own is: the page says so, and half a character in a name has none.
            sys.stdout.buffer.write(WRITERS[output](made).encode("utf-8", "replace"))
