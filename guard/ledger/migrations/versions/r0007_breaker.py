"""
The breaker: when it opened and closed, its levels, who confirmed which policy, and what the new windows of the limits ask.

Revision 0007. Whatever policy an earlier version let end three jobs is no new one, and counts as confirmed. Of what it
intended the user is not known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_CONFIRM = """
INSERT INTO confirmations (policy, digest, "by", reason, at_ms)
SELECT policy, digest, 'upgrade', 'it had ended three jobs before there were confirmations', MAX(closed_ms)
FROM intents WHERE outcome = 'confirmed' GROUP BY policy, digest HAVING COUNT(*) >= 3
"""


def upgrade() -> None:
    """
    Add columns, indexes and tables.
    """
    op.add_column("intents", sa.Column("user_name", sa.Text()))
    op.add_column("intents", sa.Column("last_sending_ms", sa.BigInteger()))
    op.execute("UPDATE intents SET last_sending_ms = sending_ms")
    op.drop_index("intents_by_sending", "intents")
    op.create_index("intents_by_last_sending", "intents", ["last_sending_ms"])
    op.create_index("intents_by_policy", "intents", ["policy", "digest"])
    for name in ("cards", "largest"):
        op.add_column("walks", sa.Column(name, sa.BigInteger()))
    op.create_table(
        "breakers",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger()),
        sa.Column("closed_ms", sa.BigInteger()),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.Column("closed_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_open_breaker",
        "breakers",
        ["scope", "name", "cause"],
        unique=True,
        sqlite_where=sa.text("closed_ms IS NULL"),
        postgresql_where=sa.text("closed_ms IS NULL"),
    )
    op.create_table(
        "breaker_levels",
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cause", "name"),
    )
    op.create_table(
        "confirmations",
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy", "digest"),
    )
    op.execute(_CONFIRM)
