"""
What was spent, as a table for people, and as JSON and CSV for machines.

Names come from whoever started a job. In a table and in CSV they cannot move, colour or erase anything, and no spreadsheet
takes one for a formula; in JSON they stand exactly as they are, as escapes.
"""

import contextlib
import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from guard.core.periods import Sum, unscaled
from guard.core.spans import HOUR_MS
from guard.report import iso
from guard.screen import plain, table
from guard.spending import Question, Spent

# What a spreadsheet may take for the beginning of a formula, in both widths.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_UNKNOWN = {"policy": "-"}


@contextlib.contextmanager
def counting(console: Console, what: str = "days") -> Iterator[Callable[[int, int], None]]:
    """
    Show on a terminal how many days (or *what*) are done, and take it away at the end; elsewhere show nothing.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)


def totals(found: Sequence[Spent]) -> dict[str, Sum]:
    """
    Return the sums by currency.
    """
    sums: defaultdict[str, Sum] = defaultdict(Sum)
    for one in found:
        sums[one.currency].add(one.sum)
    return dict(sums)


def spend_data(found: Sequence[Spent], asked: Question) -> dict[str, Any]:
    """
    Return everything as plain data; money is exact and stands as text, null where the cost of no run is known.
    """
    return {
        "from": iso(asked.period.from_ms),
        "to": iso(asked.period.to_ms),
        "by": list(asked.by),
        "rows": [dict(zip(asked.by, one.labels, strict=True)) | _data(one.sum, one.currency) for one in found],
        "totals": [_data(one, currency) for currency, one in totals(found).items()],
    }


def spend_json(found: Sequence[Spent], asked: Question) -> str:
    """
    Return that as JSON, in ASCII: a name may hold anything, half a character too.
    """
    return json.dumps(spend_data(found, asked), indent=2) + "\n"


def spend_csv(found: Sequence[Spent], asked: Question) -> str:
    """
    Return the rows as CSV with a head.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*asked.by, *_data(Sum(), "")])
    for one in found:
        writer.writerow([*(_cell(label) for label in one.labels), *_data(one.sum, one.currency).values()])
    return out.getvalue()


def show_spend(console: Console, found: Sequence[Spent], asked: Question, *, limit: int) -> None:
    """
    Print a table of the first *limit* rows, and the totals of all.
    """
    if not found:
        console.print("No run is on record for this time.")
        return
    heads = (*(name.replace("_", " ") for name in asked.by), "runs", "hours", "cost", "currency")
    rows = [(*_labels(one, asked), *_shown(one.sum, one.currency)) for one in found[:limit]]
    console.print(table("", heads, rows))
    if len(found) > limit:
        console.print(plain(f"and {len(found) - limit:,} more rows (--limit, or --output csv)"))
    for currency, one in totals(found).items():
        runs, hours, cost, _ = _shown(one, currency)
        unknown = f"; what {one.unpriced:,} of them cost is not known and not in it" if one.unpriced else ""
        console.print(plain(f"total: {cost} {currency} for {runs} runs of {hours} hours{unknown}"), soft_wrap=True)


def _data(one: Sum, currency: str) -> dict[str, Any]:
    return {
        "runs": one.runs,
        "unpriced_runs": one.unpriced,
        "running_ms": one.running_ms,
        "cost": None if one.unpriced == one.runs else f"{unscaled(one.amount):f}",
        "currency": currency or None,
    }


def _labels(one: Spent, asked: Question) -> list[str]:
    return [_UNKNOWN.get(name, "?") if label is None else label for name, label in zip(asked.by, one.labels, strict=True)]


def _shown(one: Sum, currency: str) -> tuple[str, str, str, str]:
    cost = "?" if one.unpriced == one.runs else f"{unscaled(one.amount):,.2f}"
    return f"{one.runs:,}", f"{one.running_ms / HOUR_MS:,.1f}", cost, currency


def _cell(label: str | None) -> str:
    text = plain("" if label is None else label).plain
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
