"""Fairness: operations are claimed in the order in which they were put into the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the time; what waits keeps its place. The mark of the schema's version gives way to Alembic's own."""
    op.add_column("operations", sa.Column("queued_time_us", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE operations SET queued_time_us = create_time_us")
    op.drop_index("operations_to_claim", "operations")
    op.create_index("operations_to_claim", "operations", ["state", "kind", "queued_time_us"])
    op.drop_table("schema_version")
