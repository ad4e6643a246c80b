"""
Run by Alembic: migrates the connection that it was given, inside the transaction that its owner began.

Logging is the process's own affair and stays as it is.
"""

from alembic import context

from guard.ledger.leasetables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
