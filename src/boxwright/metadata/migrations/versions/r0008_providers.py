"""Identity providers, whose tokens are exchanged for access tokens; who has had an access token given for an account."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table and a column; tokens that are there were given to who has them."""
    op.add_column("tokens", sa.Column("actors", sa.Text, nullable=False, server_default=sa.text("'[]'")))
    op.create_table(
        "providers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("audience", sa.String(500), nullable=False),
        sa.Column("jwks_uri", sa.String(1000)),
        sa.Column("jwks", sa.JSON),
        sa.Column("email_domains", sa.JSON, nullable=False),
        sa.Column("subject_claim", sa.String(200), nullable=False),
        sa.Column("groups_claim", sa.String(200), nullable=False),
        sa.Column("required_claims", sa.JSON, nullable=False),
        sa.Column("sign_in_s", sa.Integer, nullable=False),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("disabled_us", sa.BigInteger),
    )
