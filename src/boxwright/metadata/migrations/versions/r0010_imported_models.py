"""A new kind of operation: models that were trained elsewhere are imported."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BEFORE = (
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
)


def upgrade() -> None:
    """Lets operations be of the new kind; those that are there stay as they are."""
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("kind_known", "operations", type_="check")
        op.create_check_constraint("kind_known", "operations", _known())
        return
    # SQLite makes the table anew, and so has to be told all that it is
    with op.batch_alter_table("operations", copy_from=_operations()) as operations:
        operations.drop_constraint("kind_known", type_="check")
        operations.create_check_constraint("kind_known", _known())


def _listed(*kinds: str) -> str:
    return f"kind IN ({', '.join(repr(kind) for kind in kinds)})"


def _known() -> str:
    return _listed(*_BEFORE, "import_model")


def _operations() -> sa.Table:
    return sa.Table(
        "operations",
        sa.MetaData(),
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
        sa.Column("queued_time_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("plan_of", sa.String(40)),
        sa.Column("progress", sa.JSON),
        sa.Column("caller", sa.String(320), nullable=False, server_default=sa.text("''")),
        sa.Column("charged_project", sa.String(128), nullable=False, server_default=sa.text("''")),
        sa.Column("caller_groups", sa.Text, nullable=False, server_default=sa.text("'[]'")),
        sa.CheckConstraint("state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')", name="state_known"),
        sa.CheckConstraint(_listed(*_BEFORE), name="kind_known"),
        sa.CheckConstraint("(lease_owner IS NOT NULL) = (state = 'RUNNING')", name="leased_while_running"),
        sa.CheckConstraint(
            "(done_time_us IS NOT NULL) = (state IN ('CANCELLED', 'FAILED', 'SUCCEEDED'))",
            name="done_time_when_terminal",
        ),
        sa.CheckConstraint("(response IS NOT NULL) = (state = 'SUCCEEDED')", name="response_when_succeeded"),
        sa.CheckConstraint("(error IS NOT NULL) = (state IN ('FAILED', 'CANCELLED'))", name="error_when_not"),
        sa.Index("operations_newest_first", "project", "location", "create_time_us", "id"),
        sa.Index("operations_to_claim", "state", "kind", "queued_time_us"),
        sa.Index("operations_on_resource", "works_on", "state"),
    )
