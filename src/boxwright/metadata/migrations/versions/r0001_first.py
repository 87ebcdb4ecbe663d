"""The first schema: datasets and what is in them, models and their evaluations, operations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    _datasets()
    _annotation_specs()
    _examples()
    _annotations()
    _models()
    _model_evaluations()
    _operations()


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("location", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(32), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("metadata_member", sa.String(80), nullable=False),
        sa.Column("metadata_bytes", sa.LargeBinary, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("etag", sa.String(40), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
        sa.Column("example_count", sa.Integer, nullable=False),
    )
    op.create_index("datasets_newest_first", "datasets", ["project", "location", "create_time_us", "id"])


def _annotation_specs() -> None:
    op.create_table(
        "annotation_specs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("dataset_id", sa.String(40), nullable=False),
        sa.Column(
            "display_name", sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql"), nullable=False
        ),
        sa.UniqueConstraint("dataset_id", "display_name", name="one_spec_per_label"),
    )


def _examples() -> None:
    op.create_table(
        "examples",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("dataset_id", sa.String(40), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uri", sa.String(2000), nullable=False),
        sa.Column("ml_use", sa.String(16), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        _one_of("ml_use", "TRAIN", "VALIDATION", "TEST", "UNASSIGNED"),
        sa.UniqueConstraint("dataset_id", "sha256", name="one_example_per_content"),
    )


def _annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("example_id", sa.Integer, nullable=False),
        sa.Column("annotation_spec_id", sa.String(40), nullable=False),
        sa.Column("x_min", sa.Float, nullable=False),
        sa.Column("y_min", sa.Float, nullable=False),
        sa.Column("x_max", sa.Float, nullable=False),
        sa.Column("y_max", sa.Float, nullable=False),
    )
    op.create_index("ix_annotations_example_id", "annotations", ["example_id"])
    op.create_index("ix_annotations_annotation_spec_id", "annotations", ["annotation_spec_id"])


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("location", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(32), nullable=False),
        sa.Column("dataset_id", sa.String(40), nullable=False),
        sa.Column("model_type", sa.String(40), nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("etag", sa.String(40), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
        sa.Column("deployment_state", sa.String(16), nullable=False),
        sa.Column("node_count", sa.Integer, nullable=False),
        sa.Column("stop_reason", sa.String(32), nullable=False),
        sa.Column("train_budget_milli_node_hours", sa.BigInteger, nullable=False),
        sa.Column("train_cost_milli_node_hours", sa.BigInteger, nullable=False),
        sa.Column("folder", sa.String(200), nullable=False),
        _one_of("deployment_state", "DEPLOYED", "UNDEPLOYED"),
    )
    op.create_index("models_newest_first", "models", ["project", "location", "create_time_us", "id"])


def _model_evaluations() -> None:
    op.create_table(
        "model_evaluations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("model_id", sa.String(40), nullable=False),
        sa.Column("annotation_spec_id", sa.String(40), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("evaluated_example_count", sa.Integer, nullable=False),
        sa.Column("metrics", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("model_id", "annotation_spec_id", name="one_evaluation_per_spec"),
    )
    op.create_index("ix_model_evaluations_model_id", "model_evaluations", ["model_id"])


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("location", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.Column("works_on", sa.String(400), nullable=False),
        sa.Column("progress_percent", sa.Integer, nullable=False),
        sa.Column("partial_failures", sa.JSON, nullable=False),
        sa.Column("output_directory", sa.String(2200), nullable=False),
        sa.Column("response", sa.LargeBinary),
        sa.Column("error", sa.LargeBinary),
        sa.Column("create_time_us", sa.BigInteger, nullable=False, unique=True),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
        sa.Column("done_time_us", sa.BigInteger),
        sa.Column("cancel_requested_us", sa.BigInteger),
        sa.Column("lease_owner", sa.String(80)),
        sa.Column("lease_epoch", sa.Integer, nullable=False),
        sa.Column("lease_expires_us", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        _one_of("state", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"),
        _one_of(
            "kind",
            "create_dataset",
            "delete_dataset",
            "import_data",
            "export_data",
            "create_model",
            "delete_model",
            "deploy_model",
            "undeploy_model",
            "export_model",
            "batch_predict",
        ),
        sa.CheckConstraint("(lease_owner IS NOT NULL) = (state = 'RUNNING')", name="leased_while_running"),
        sa.CheckConstraint(
            "(done_time_us IS NOT NULL) = (state IN ('CANCELLED', 'FAILED', 'SUCCEEDED'))",
            name="done_time_when_terminal",
        ),
        sa.CheckConstraint("(response IS NOT NULL) = (state = 'SUCCEEDED')", name="response_when_succeeded"),
        sa.CheckConstraint("(error IS NOT NULL) = (state IN ('FAILED', 'CANCELLED'))", name="error_when_not"),
    )
    op.create_index("operations_newest_first", "operations", ["project", "location", "create_time_us", "id"])
    op.create_index("operations_to_claim", "operations", ["state", "kind", "create_time_us"])
    op.create_index("operations_on_resource", "operations", ["works_on", "state"])
