"""
The history of runs that are over, and of each job the newest run whose end is in it.

Revision 0004; what an earlier version saw ending has no row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the column and the tables.
    """
    with op.batch_alter_table("sightings", recreate="auto" if op.get_bind().dialect.name != "sqlite" else "always") as table:
        table.add_column(sa.Column("ended_run", sa.Integer()))
    op.create_table(
        "words",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("words_by_digest", "words", ["digest"], unique=True)
    op.create_index("words_by_use", "words", ["used_ms"])
    op.create_table(
        "history",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=False),
        sa.Column("running_ms", sa.BigInteger()),
        sa.Column("entry_ms", sa.BigInteger(), nullable=False),
        sa.Column("age_ms", sa.BigInteger()),
        sa.Column("span_ms", sa.BigInteger()),
        sa.Column("job", sa.LargeBinary(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("told", sa.SmallInteger(), nullable=False),
        sa.Column("by_itself", sa.SmallInteger(), nullable=False),
        sa.Column("phase_word", sa.Integer(), nullable=False),
        sa.Column("place_word", sa.Integer(), nullable=False),
        sa.Column("parts_word", sa.Integer(), nullable=False),
        sa.Column("user_word", sa.Integer()),
        sa.Column("stem_word", sa.Integer()),
        sa.Column("rest", sa.Text()),
        sa.Column("cards", sa.BigInteger()),
        sa.Column("currency_word", sa.Integer(), nullable=False),
        sa.Column("cost_units", sa.BigInteger()),
        sa.Column("cost_rest", sa.BigInteger()),
        sa.Column("policy_word", sa.Integer()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("history_by_end", "history", ["ended_ms"])
    of_long_runs = sa.text("running_ms >= 172800000")
    op.create_index("history_long", "history", ["ended_ms"], sqlite_where=of_long_runs, postgresql_where=of_long_runs)
