"""
The durable record of what the guard saw, intended and did, kept in a SQL database.

It knows the values of the core and nothing of HTTP, policies' files or the daemon. What a method wrote has reached the disk
when it returns, and whatever goes wrong is a ``LedgerUnusable``: no record, no act.
"""

from guard.ledger.lease import SqlLease
from guard.ledger.opening import open_ledger
from guard.ledger.sql import SqlLedger

__all__ = ["SqlLease", "SqlLedger", "open_ledger"]
