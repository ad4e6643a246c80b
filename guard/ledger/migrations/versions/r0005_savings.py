"""
The savings of confirmed terminations beside their inputs, and how runs ended that a policy only observed.

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
    Add the columns.
    """
    with op.batch_alter_table("intents", recreate="auto" if op.get_bind().dialect.name != "sqlite" else "always") as table:
        for name in NAMES:
            table.add_column(sa.Column(name, sa.Text()))
    with op.batch_alter_table("findings", recreate="auto" if op.get_bind().dialect.name != "sqlite" else "always") as table:
        for name in ("ended_ms", "running_ms"):
            table.add_column(sa.Column(name, sa.BigInteger()))
        for name in ("ending", "phase", "currency", "cost", "potential"):
            table.add_column(sa.Column(name, sa.Text()))
