"""
What the daemon's command needs of the command line, and nothing more: it lives for months, and every module that the other
commands bring along (rich, their tables and reports) would stay in its memory as long.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from guard import __version__, commands
from guard.errors import GuardError, LedgerUnusable, TargetError
from guard.report import harmless

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GUARD_CONFIG", help="The settings file (YAML).")
]


def command_line() -> typer.Typer:
    """
    Return the command ``guard``, to which its commands are to be added.
    """
    app = typer.Typer(
        name="guard",
        help="Stops Huawei Cloud ModelArts training jobs that break cost policy, at the second they break it.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_top)
    return app


def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


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
        sys.stderr.write(harmless(line) + "\n")
    return typer.Exit(code)
