"""
A status on a terminal: the headline, what is wrong, and tables that fit into 80 columns.
"""

from rich.console import Console

from guard.daemon.statustext import words
from guard.ports.status import Status
from guard.screen import plain, table


def show_status(console: Console, status: Status) -> None:
    """
    Print a status.
    """
    told = words(status)
    console.print(plain(told.headline), style="bold", soft_wrap=True)
    for one in told.warnings:
        console.print(plain(f"! {one}"), style="yellow", soft_wrap=True)
    for section in told.sections:
        if section.rows:
            console.print(table(section.title, section.columns, section.rows))
        alone = not section.rows and len(section.lines) == 1
        for line in section.lines:
            console.print(plain(f"{section.title}: {line}" if alone else line), soft_wrap=True)
