"""
The tables of those who act on a ledger: one row for each process, and one for each target that was ever leased.
"""

import sqlalchemy as sa

from guard.ledger.breakertables import metadata
from guard.ledger.tables import AnyText

__all__ = ["leases", "metadata", "replicas"]

# *beats* counts the heartbeats, *serves* is what the replica is able to act on: JSON, pairs of region and project.
replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("holder", AnyText, nullable=False),
    sa.Column("host", AnyText, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("pid_namespace", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("process_start", sa.Text, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("beat_ms", sa.BigInteger, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
    sa.Column("serves", AnyText, nullable=False),
)

# A row stays when its lease is given back (*instance* is "" then), so that its *token* is never given twice.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("region", AnyText, primary_key=True),
    sa.Column("project_id", AnyText, primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("instance", sa.Text, nullable=False, index=True),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("asked", sa.Text, nullable=False),
)
