"""
What findings add up to that were dropped for their age.

Revision 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Make the table.
    """
    op.create_table(
        "dropped",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("findings", sa.BigInteger(), nullable=False),
        sa.Column("potential", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("target", "policy", "reason", "currency"),
    )
