"""A second kind of dataset: labels without boxes, examples whose labels are not known, models that say their kind."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_CORNERS = ("x_min", "y_min", "x_max", "y_max")


def upgrade() -> None:
    """Adds columns and lets boxes be absent; what is there are labelled images with boxes, and models for them."""
    # SQLite makes these two tables anew, and so has to be told all that they are; nothing reads that from a database
    with op.batch_alter_table("examples", copy_from=_examples()) as examples:
        examples.add_column(sa.Column("state", sa.String(16), nullable=False, server_default="LABELED"))
        examples.create_check_constraint("state_known", "state IN ('LABELED', 'UNLABELED', 'SUGGESTED')")
    with op.batch_alter_table("annotations", copy_from=_annotations()) as annotations:
        for corner in _CORNERS:
            annotations.alter_column(corner, existing_type=sa.Float, nullable=True)
    op.add_column(
        "models",
        sa.Column(
            "metadata_member", sa.String(80), nullable=False, server_default="image_object_detection_model_metadata"
        ),
    )
    op.add_column("models", sa.Column("base_model_id", sa.String(40), nullable=False, server_default=sa.text("''")))


def _examples() -> sa.Table:
    return sa.Table(
        "examples",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("dataset_id", sa.String(40), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uri", sa.String(2000), nullable=False),
        sa.Column("ml_use", sa.String(16), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.CheckConstraint("ml_use IN ('TRAIN', 'VALIDATION', 'TEST', 'UNASSIGNED')", name="ml_use_known"),
        sa.UniqueConstraint("dataset_id", "sha256", name="one_example_per_content"),
    )


def _annotations() -> sa.Table:
    return sa.Table(
        "annotations",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("example_id", sa.Integer, nullable=False),
        sa.Column("annotation_spec_id", sa.String(40), nullable=False),
        *(sa.Column(corner, sa.Float, nullable=False) for corner in _CORNERS),
        sa.Index("ix_annotations_example_id", "example_id"),
        sa.Index("ix_annotations_annotation_spec_id", "annotation_spec_id"),
    )
