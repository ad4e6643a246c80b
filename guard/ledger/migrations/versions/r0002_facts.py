"""
Known jobs: the newest facts beside the memory of a job, and the newest complete walk of each target.

Revision 0002; what an earlier version remembered stays, without facts until the next walk.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the column and the table.
    """
    with op.batch_alter_table("sightings", recreate="auto" if op.get_bind().dialect.name != "sqlite" else "always") as table:
        table.add_column(sa.Column("facts", sa.Text()))
    op.create_table(
        "walks",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_ms", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target"),
    )
