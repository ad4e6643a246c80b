"""
Inserts that may collide with what is there, in words that SQLite and PostgreSQL both understand.

SQLAlchemy has them once for each; this is SQLite's, with the one thing that PostgreSQL's compiler asks beyond it, so that a
statement is built once for both and the other's dialect is not loaded by who has no use for it.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate

__all__ = ["Insert", "insert"]


class _Nothing(OnConflictDoNothing):
    inherit_cache = True
    constraint_target = None


class _Update(OnConflictDoUpdate):
    inherit_cache = True
    constraint_target = None


class Insert(sqlite.Insert):
    """
    An INSERT that says what becomes of a row whose place in a unique index is taken.
    """

    inherit_cache = True

    def on_conflict_do_nothing(self, index_elements: Any = None, index_where: Any = None) -> "Insert":
        """
        Leave the row that is there as it is.
        """
        return self.ext(_Nothing(index_elements, index_where))

    def on_conflict_do_update(
        self, index_elements: Any = None, index_where: Any = None, set_: Any = None, where: Any = None
    ) -> "Insert":
        """
        Change the row that is there, if *where* holds of it.
        """
        return self.ext(_Update(index_elements, index_where, set_, where))


def insert(table: sa.Table) -> Insert:
    """
    Return an insert into *table*.
    """
    return Insert(table)
