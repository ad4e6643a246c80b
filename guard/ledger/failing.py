"""
What of a ledger may fail, turned into the one error that its callers know.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from guard.errors import LedgerUnusable

# A row that makes no sense (ValueError) or a number that no column holds (ArithmeticError) is the ledger's failure too.
FAILURES = (sa.exc.SQLAlchemyError, sqlite3.Error, OSError, ValueError, ArithmeticError)


@contextlib.contextmanager
def named(ledger: str, what: str) -> Iterator[None]:
    """
    Turn every failure inside into a ``LedgerUnusable`` that names the ledger and *what* it could not do.
    """
    try:
        yield
    except LedgerUnusable as e:
        raise type(e)(f"ledger {ledger} cannot {what}: {e}") from e
    except FAILURES as e:
        cause = " ".join(str(getattr(e, "orig", None) or e).split())
        raise LedgerUnusable(f"ledger {ledger} cannot {what}: {cause[:200]}") from e
