"""Examples that are changed one by one: who did it and when, and indexes for pages and for labels."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns and two indexes; nobody has changed what is there."""
    op.add_column("examples", sa.Column("author", sa.String(320), nullable=False, server_default=sa.text("''")))
    op.add_column("examples", sa.Column("update_time_us", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("examples_of_dataset", "examples", ["dataset_id", "id"])
    op.create_index("annotations_of_spec", "annotations", ["annotation_spec_id", "example_id"])
