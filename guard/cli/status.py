"""
The command that tells how the guard is.
"""

import asyncio
import sys

import typer

from guard.cli.frame import Output, OutputOption, screen
from guard.cli.top import ConfigOption, told
from guard.daemon.status import encoded
from guard.logs import configure_logs
from guard.settings import load_settings
from guard.status import status
from guard.statusscreen import show_status

telling = typer.Typer(rich_markup_mode=None)


@telling.command("status")
def show(config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """
    Show how the guard is: armed, paused, targets, limits, open intents, who holds the ledger, policies, versions.

    Asks the daemon that these settings describe; if none answers, reads the ledger alone and says so.
    """
    with told():
        configure_logs(quiet=True)
        found = asyncio.run(status(load_settings(config)))
        if output is Output.JSON:
            sys.stdout.buffer.write(encoded(found) + b"\n")
        else:
            show_status(screen(), found)
