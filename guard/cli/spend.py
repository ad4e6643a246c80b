"""
The command that tells what was spent.
"""

import asyncio
import sys
import time
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from guard import commands
from guard.app import terms_of
from guard.cli.frame import screen
from guard.cli.top import ConfigOption, told
from guard.core.periods import Period, midnight_ms
from guard.core.until import parse_until
from guard.errors import BadInput
from guard.settings import load_settings
from guard.spending import DIMENSIONS, Question
from guard.spendscreen import counting, show_spend, spend_csv, spend_json

spending = typer.Typer(rich_markup_mode=None)


SinceOption = Annotated[
    str | None, typer.Option("--from", help="A date, or a moment with its offset; default: the first of this month.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="A date, to whose end, or a moment with its offset; default: now.")
]


class Shape(StrEnum):
    """
    Tables for people, JSON and CSV for machines.
    """

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@spending.command()
def spend(
    config: ConfigOption = None,
    since: SinceOption = None,
    to: ToOption = None,
    by: Annotated[str, typer.Option(help=f"What to group by, joined by commas: {', '.join(DIMENSIONS)}.")] = "user",
    output: Annotated[Shape, typer.Option("--output", "-o", help="How to print the result.")] = Shape.TABLE,
    limit: Annotated[int, typer.Option(min=1, help="How many rows of a table.")] = 50,
) -> None:
    """
    Sum up what the runs of a time cost, those that still run included; needs the ledger only.
    """
    with told():
        settings, now_ms = load_settings(config), int(time.time() * 1000)
        asked = Question(
            period=period_of(since, to, zone=settings.zone, now_ms=now_ms),
            by=_grouping(by),
            zone=settings.zone,
            terms=terms_of(settings),
            now_ms=now_ms,
        )
        with counting(Console(stderr=True)) as progress:
            found = asyncio.run(commands.spend(settings, asked, progress))
        if output is Shape.TABLE:
            show_spend(screen(), found, asked, limit=limit)
        else:
            sys.stdout.write(spend_json(found, asked) if output is Shape.JSON else spend_csv(found, asked))


def _grouping(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().replace("-", "_") for name in text.split(",")))
    for name in names:
        if name not in DIMENSIONS:
            raise BadInput(f"--by: expected one or more of {', '.join(DIMENSIONS)}, joined by commas, got {name[:200]!r}")
    return names


def period_of(since: str | None, to: str | None, *, zone: ZoneInfo, now_ms: int) -> Period:
    """
    Return the time of ``--from`` and ``--to``: from the first of this month to now if they are left out.
    """
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    from_ms = midnight_ms(today.replace(day=1), zone) if since is None else bound_ms("--from", since, zone, begin=True)
    to_ms = now_ms if to is None else bound_ms("--to", to, zone, begin=False)
    if from_ms >= to_ms:
        raise BadInput(f"--from {since or 'the first of this month'} is not before --to {to or 'now'}")
    return Period(from_ms, to_ms)


def bound_ms(option: str, text: str, zone: ZoneInfo, *, begin: bool) -> int:
    """
    Return the moment at which a time begins or ends; raises ``BadInput`` that names the option.
    """
    try:
        end_ms = parse_until(text, zone=zone)
        bare = len(text) == len("2026-01-31")
        return midnight_ms(datetime.fromisoformat(text).date(), zone) if begin and bare else end_ms
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{option}: {error}, got {text[:200]!r}") from error
