"""
What an estimate at the deadline would have said of runs that a policy only observed.

Revision 0006; what an earlier version observed has no forecast, since nobody knows what the run was then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the columns in place, and the index of what is still to be forecast.
    """
    for name in ("basis", "expected", "forecast"):
        op.add_column("findings", sa.Column(name, sa.Text()))
    to_do = sa.text("basis IS NOT NULL AND forecast IS NULL")
    op.create_index("findings_to_forecast", "findings", ["id"], sqlite_where=to_do, postgresql_where=to_do)
