"""Who does what is done once a day for all processes.

Expands: the table. Contracts: nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expands: adds a table, which the former version does not look at."""
    op.create_table(
        "periodic_work",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
    )


def contract() -> None:
    """Contracts: nothing; no column or table of the former version has gone out of use."""
