"""Audit: how far each audit log has got."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table of heads."""
    op.create_table(
        "audit_heads",
        sa.Column("instance", sa.String(128), primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
    )
