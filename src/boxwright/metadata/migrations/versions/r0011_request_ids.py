"""Ids that callers give to requests, so that one that is sent twice starts one operation."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table."""
    op.create_table(
        "request_ids",
        sa.Column("project", sa.String(128), primary_key=True),
        sa.Column("caller", sa.String(320), primary_key=True),
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("operation_name", sa.String(400), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
    )
