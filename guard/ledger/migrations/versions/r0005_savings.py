"""
The savings of confirmed terminations beside their inputs, how runs ended that a policy only observed, and claw-back.

Revision 0005; what an earlier version terminated has no estimate.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAMES = ("work", "basis", "savings_expected", "savings_lower", "savings_assumed", "savings_estimate")


def upgrade() -> None:
    """
    Add the columns, in place: SQLite refuses to drop and make again a table whose rows others refer to (``steps``).
    """
    for name in NAMES:
        op.add_column("intents", sa.Column(name, sa.Text()))
    for name in ("ended_ms", "running_ms"):
        op.add_column("findings", sa.Column(name, sa.BigInteger()))
    for name in ("ending", "phase", "currency", "cost", "potential"):
        op.add_column("findings", sa.Column(name, sa.Text()))
    op.create_table(
        "clawbacks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("intent", sa.Integer(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("assumed", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("intent", "region", "project_id", "job_id", "run", name="one_clawback_each"),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"]),
    )
