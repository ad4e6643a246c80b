"""
Jobs of a target in the order of their keys, so that a large fleet is read part by part.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Let the index on the target go on with the key.
    """
    op.drop_index("ix_sightings_target", "sightings")
    op.create_index("sightings_by_target", "sightings", ["target", "region", "project_id", "job_id"])
