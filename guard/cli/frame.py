"""
What the commands that print share: options, arguments and the screen.
"""

import json
import sys
import time
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console

from guard.core.spans import parse_span
from guard.errors import BadInput

PIPE_WIDTH = 160


class Output(StrEnum):
    """
    Tables for people, JSON for machines.
    """

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


def errors() -> Console:
    """
    Return the console for errors.
    """
    return Console(stderr=True, highlight=False)


def screen() -> Console:
    """
    Return the console for results.
    """
    # A pipe has no width; what is read by grep must not be folded at that of an old terminal.
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_json(data: object) -> None:
    """
    Print data as JSON for machines.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # Half a character in somebody's name has no UTF-8, and other encodings lack more, but all have an escape.
        text = json.dumps(data, indent=2)
    sys.stdout.write(text + "\n")


def span_ms(text: str, option: str) -> int:
    """
    Read a span given to an option, in milliseconds.
    """
    span_ms = parse_span(text)
    if span_ms is None:
        raise BadInput(f"{option}: expected a span such as 30s, 15m or 24h, got {text!r}")
    return span_ms


def moment_ms(text: str | None) -> int:
    """
    Read a moment given to ``--at``, in milliseconds since 1970; now if there is none.
    """
    if text is None:
        return int(time.time() * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--at: expected a moment such as 2026-01-31T12:00:00Z, got {text!r}") from error
    if moment.tzinfo is None:
        raise BadInput(f"--at: {text!r} has no offset; add Z or +08:00")
    return round(moment.timestamp() * 1000)


def zone(name: str) -> ZoneInfo:
    """
    Read a time zone given to ``--timezone``.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadInput(f"--timezone: expected an IANA time zone such as UTC or Asia/Shanghai, got {name!r}") from error
