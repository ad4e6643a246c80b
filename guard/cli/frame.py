"""
What all commands share: options, errors turned into messages and exit codes, and the screen.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console

from guard import commands
from guard.core.spans import parse_span
from guard.errors import BadInput, GuardError, LedgerUnusable, TargetError
from guard.screen import plain

PIPE_WIDTH = 160


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


@contextlib.contextmanager
def told() -> Iterator[None]:
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
        errors().print(plain(line), soft_wrap=True)
    return typer.Exit(code)


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
