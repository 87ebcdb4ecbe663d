"""Operations have a priority and may have a deadline; the priorities of a project take turns."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns; what is there is of normal priority and has no deadline."""
    op.add_column("operations", sa.Column("priority", sa.String(8), nullable=False, server_default="normal"))
    op.add_column("operations", sa.Column("deadline_us", sa.BigInteger))
    for column in ("began", "high_next", "normal_next", "low_next"):
        op.add_column("turns", sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))
