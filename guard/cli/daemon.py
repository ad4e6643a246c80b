"""
The command that runs the daemon.
"""

import asyncio

import typer

from guard import commands
from guard.app import Outside
from guard.cli.top import ConfigOption, command_line, told
from guard.logs import configure_logs
from guard.settings import load_settings

daemon = typer.Typer(rich_markup_mode=None)


@daemon.command()
def run(config: ConfigOption = None) -> None:
    """
    Run the daemon: walk the targets, act at the second a policy is broken, serve metrics.
    """
    with told():
        configure_logs()
        raise typer.Exit(asyncio.run(commands.run(load_settings(config), Outside())))


app = command_line()
app.add_typer(daemon)
