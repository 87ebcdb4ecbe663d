"""Events of operations that are to be delivered; images of a day; candidates that were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds tables and columns; what is there notifies nobody, and has its candidates."""
    op.add_column("operations", sa.Column("notify", sa.Text, nullable=False, server_default=sa.text("'[]'")))
    op.add_column("operations", sa.Column("candidates_deleted_us", sa.BigInteger))
    op.create_table(
        "outbox",
        sa.Column("operation_id", sa.String(40), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("destination_number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(2200), nullable=False),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("caller", sa.String(320), nullable=False),
        sa.Column("caller_groups", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(80)),
    )
    op.create_index("ix_outbox_next_us", "outbox", ["next_us"])
    op.create_table(
        "image_days",
        sa.Column("project", sa.String(128), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("images", sa.BigInteger, nullable=False),
    )
