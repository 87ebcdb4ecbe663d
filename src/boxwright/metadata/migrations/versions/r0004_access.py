"""Access: accounts, their keys and tokens, policies; who has started an operation, and which project it is charged to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds tables and columns; what is there was started by nobody in particular, and no policy is about it."""
    op.add_column("operations", sa.Column("caller", sa.String(320), nullable=False, server_default=sa.text("''")))
    op.add_column(
        "operations", sa.Column("charged_project", sa.String(128), nullable=False, server_default=sa.text("''"))
    )
    _add_accounts()
    _add_tokens()
    _add_policies()


def _add_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("member", sa.String(320), nullable=False, unique=True),
        sa.Column("project", sa.String(128), nullable=False),
        sa.Column("display_name", sa.String(100), nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("disabled_us", sa.BigInteger),
    )
    op.create_table(
        "account_keys",
        sa.Column("kid", sa.String(128), primary_key=True),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("public_jwk", sa.JSON, nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("not_after_us", sa.BigInteger, nullable=False),
        sa.Column("disabled_us", sa.BigInteger),
        sa.Column("last_used_us", sa.BigInteger),
    )
    op.create_index("ix_account_keys_account_id", "account_keys", ["account_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("permissions", sa.JSON),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("not_after_us", sa.BigInteger),
        sa.Column("disabled_us", sa.BigInteger),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])


def _add_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("member", sa.String(320), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("family", sa.String(40), nullable=False),
        sa.Column("member_groups", sa.Text, nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("used_us", sa.BigInteger),
    )
    for column in ("member", "family", "expires_us"):
        op.create_index(f"ix_tokens_{column}", "tokens", [column])


def _add_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("resource", sa.String(400), primary_key=True),
        sa.Column("etag", sa.String(40), nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "bindings",
        sa.Column("resource", sa.String(400), primary_key=True),
        sa.Column("role", sa.String(80), primary_key=True),
        sa.Column("member", sa.String(400), primary_key=True),
    )
    op.create_index("bindings_of_member", "bindings", ["member"])
    op.create_table(
        "group_members",
        sa.Column("name", sa.String(320), primary_key=True),
        sa.Column("member", sa.String(400), primary_key=True),
    )
    op.create_table(
        "access_versions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
