"""Names and counts of examples, sources of annotations, colours of labels, and changes that can be taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_EMPTY = sa.text("''")
_SOURCE = "CHECK (source IN ('IMPORTED', 'HUMAN', 'MODEL', 'ACCEPTED'))"
_LAST_PART = {  # of a URI
    "sqlite": "substr(uri, length(rtrim(uri, replace(uri, '/', ''))) + 1, 255)",
    "postgresql": "substr(regexp_replace(uri, '^.*/', ''), 1, 255)",
}
_WIDTH, _HEIGHT = "(x_max - x_min) * width_px", "(y_max - y_min) * height_px"
_EDGE = f"CASE WHEN {_WIDTH} < {_HEIGHT} THEN {_WIDTH} ELSE {_HEIGHT} END"
_MINE = "FROM annotations WHERE example_id = examples.id"


def upgrade() -> None:
    """Adds columns, indexes and tables; examples are called as their files, and proposals are a model's."""
    file_name = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    op.add_column("datasets", sa.Column("content_version", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("annotation_specs", sa.Column("colour", sa.String(7), nullable=False, server_default=_EMPTY))
    op.add_column("annotation_specs", sa.Column("hot_key", sa.String(1), nullable=False, server_default=_EMPTY))
    # one statement, as SQLite would make the table anew for a constraint by itself
    op.execute(
        "ALTER TABLE annotations ADD COLUMN source VARCHAR(16) DEFAULT 'IMPORTED' NOT NULL "
        f"CONSTRAINT source_known {_SOURCE}"
    )
    op.add_column("annotations", sa.Column("score", sa.Float))
    op.add_column("examples", sa.Column("display_name", file_name, nullable=False, server_default=_EMPTY))
    op.add_column("examples", sa.Column("annotation_count", sa.Integer, nullable=False, server_default="0"))
    op.add_column("examples", sa.Column("min_edge_px", sa.Float))
    op.add_column("examples", sa.Column("change_id", sa.String(40), nullable=False, server_default=_EMPTY))
    values = (
        f"display_name = {_LAST_PART[op.get_bind().dialect.name]}",
        f"annotation_count = (SELECT count(*) {_MINE})",
        f"min_edge_px = (SELECT min({_EDGE}) {_MINE})",
    )
    op.execute("UPDATE examples SET " + ", ".join(values))  # noqa: S608 - all of it is written here
    op.execute(
        "UPDATE annotations SET source = 'MODEL' "
        "WHERE example_id IN (SELECT id FROM examples WHERE state = 'SUGGESTED')"
    )
    op.create_index("examples_by_display_name", "examples", ["dataset_id", "display_name", "id"])
    op.create_index("examples_by_update_time", "examples", ["dataset_id", "update_time_us", "id"])
    op.create_index("examples_by_boxes", "examples", ["dataset_id", "annotation_count", "id"])
    _create_tables(file_name)


def _create_tables(file_name: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("dataset_id", sa.String(40), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("example_count", sa.Integer, nullable=False),
        sa.Column("has_deleted", sa.Boolean, nullable=False),
        sa.Column("specs", sa.JSON, nullable=False),
    )
    op.create_index("changes_of_dataset", "changes", ["dataset_id", "create_time_us"])
    op.create_table(
        "former_examples",
        sa.Column("change_id", sa.String(40), primary_key=True),
        sa.Column("example_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uri", sa.String(2000), nullable=False),
        sa.Column("ml_use", sa.String(16), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("author", sa.String(320), nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
        sa.Column("display_name", file_name, nullable=False),
        sa.Column("former_change_id", sa.String(40), nullable=False),
    )
    op.create_table(
        "former_annotations",
        sa.Column("change_id", sa.String(40), primary_key=True),
        sa.Column("annotation_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("example_id", sa.Integer, nullable=False),
        sa.Column("annotation_spec_id", sa.String(40), nullable=False),
        *(sa.Column(corner, sa.Float) for corner in ("x_min", "y_min", "x_max", "y_max")),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("score", sa.Float),
    )
