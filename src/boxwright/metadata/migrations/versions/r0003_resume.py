"""Operations that go on with another one's plan, and progress in numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds both columns; what is there has a plan of its own and has reported nothing."""
    op.add_column("operations", sa.Column("plan_of", sa.String(40)))
    op.add_column("operations", sa.Column("progress", sa.JSON))
