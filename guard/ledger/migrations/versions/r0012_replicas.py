"""
Several replicas: one row for each process, and the lease of each target with its fencing token.

Revision 0012. Who held the ledger before is respected until its heart has stopped, as any other process.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

HOLDER = """
INSERT INTO replicas
    (instance, holder, host, boot_id, pid_namespace, pid, process_start, since_ms, beat_ms, beats, serves)
SELECT token, holder, host, boot_id, pid_namespace, pid, process_start, since_ms, beat_ms, 0, '[]' FROM lease
"""


def upgrade() -> None:
    """
    Make the tables, take the holder over, and drop the one lease that there was.
    """
    op.create_table(
        "replicas",
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("pid_namespace", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("process_start", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("beat_ms", sa.BigInteger(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("serves", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("instance"),
    )
    op.create_table(
        "leases",
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("region", "project_id"),
    )
    op.create_index("ix_leases_instance", "leases", ["instance"])
    op.execute(sa.text(HOLDER))
    op.drop_table("lease")
