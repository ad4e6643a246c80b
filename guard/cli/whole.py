"""
The command line with all its commands.
"""

from guard.cli.acting import acting
from guard.cli.audit import auditing
from guard.cli.breaker import breaker
from guard.cli.daemon import daemon
from guard.cli.ledger import ledger
from guard.cli.policies import policies
from guard.cli.prices import prices
from guard.cli.report import reported
from guard.cli.savings import saving
from guard.cli.spend import spending
from guard.cli.status import telling
from guard.cli.top import command_line

app = command_line()
for commands in (daemon, acting, policies, spending, saving, reported, prices, telling):
    app.add_typer(commands)
app.add_typer(ledger, name="ledger")
app.add_typer(auditing, name="audit")
app.add_typer(breaker, name="breaker")
