"""Turns: when which project has last got one; every operation is charged to a project."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table of turns; what was charged to no project is charged to its own."""
    op.create_table(
        "turns",
        sa.Column("kind", sa.String(24), primary_key=True),
        sa.Column("project", sa.String(128), primary_key=True),
        sa.Column("claim_time_us", sa.BigInteger, nullable=False),
    )
    op.execute("UPDATE operations SET charged_project = project WHERE charged_project = ''")
