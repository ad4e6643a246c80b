"""
The tables of the breaker; they belong to the same ledger as ``tables``.
"""

import sqlalchemy as sa

from guard.ledger.historytables import metadata
from guard.ledger.tables import AnyText

__all__ = ["breakers", "confirmations", "levels", "metadata"]

# Each time that a breaker opened, and how it was closed; nothing is ever removed.
breakers = sa.Table(
    "breakers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("name", AnyText, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("text", AnyText, nullable=False),
    sa.Column("by", AnyText, nullable=False),
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger),
    sa.Column("closed_ms", sa.BigInteger),
    sa.Column("closed_by", AnyText, nullable=False),
    sa.Column("closed_why", AnyText, nullable=False),
)

# One open breaker for each cause and whom it is for; whoever opens it again finds it open.
sa.Index(
    "one_open_breaker",
    breakers.c.scope,
    breakers.c.name,
    breakers.c.cause,
    unique=True,
    sqlite_where=breakers.c.closed_ms.is_(None),
)

levels = sa.Table(
    "breaker_levels",
    metadata,
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("name", AnyText, primary_key=True),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

confirmations = sa.Table(
    "confirmations",
    metadata,
    sa.Column("policy", AnyText, primary_key=True),
    sa.Column("digest", AnyText, primary_key=True),
    sa.Column("by", AnyText, nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)
