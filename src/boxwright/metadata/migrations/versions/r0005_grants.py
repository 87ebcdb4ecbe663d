"""Grants of buckets; of which groups who has started an operation is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table and a column; nothing is granted to anybody."""
    op.add_column("operations", sa.Column("caller_groups", sa.Text, nullable=False, server_default=sa.text("'[]'")))
    op.create_table(
        "bucket_grants",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("member", sa.String(400), nullable=False),
        sa.Column("scheme", sa.String(16), nullable=False),
        sa.Column("bucket", sa.String(255), nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("can_read", sa.Boolean, nullable=False),
        sa.Column("can_write", sa.Boolean, nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_bucket_grants_member", "bucket_grants", ["member"])
