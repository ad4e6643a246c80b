"""
The command line: arguments in, exit codes out. What a command does is in ``commands`` and beside it.

Exit codes: 0 ended as asked, 1 bad input, 2 usage, 3 no target could be read, 4 the ledger cannot be used.
"""

import io
import os
import signal
import sys
from typing import Annotated

import typer

from guard import __version__
from guard.cli.acting import acting
from guard.cli.audit import auditing
from guard.cli.breaker import breaker
from guard.cli.ledger import ledger
from guard.cli.policies import policies
from guard.cli.prices import prices
from guard.cli.report import reported
from guard.cli.savings import saving
from guard.cli.spend import spending
from guard.cli.status import telling

app = typer.Typer(
    name="guard",
    help="Stops Huawei Cloud ModelArts training jobs that break cost policy, at the second they break it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(acting)
app.add_typer(policies)
app.add_typer(spending)
app.add_typer(saving)
app.add_typer(reported)
app.add_typer(prices)
app.add_typer(telling)
app.add_typer(ledger, name="ledger")
app.add_typer(auditing, name="audit")
app.add_typer(breaker, name="breaker")


def main() -> None:
    """
    Run the command line.
    """
    if os.getpid() == 1:
        # The kernel keeps a signal without a handler from the first process of a container: it would be deaf to a stop.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name may hold what the terminal's encoding lacks; then an escape is better than no answer.
            stream.reconfigure(errors="backslashreplace")
    app()


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit
