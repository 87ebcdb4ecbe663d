"""The schema's history: which revision a database is at, creating a new one, upgrading an old one.

A new database is made from `schema` at once and stamped with the newest revision; only `upgrade` runs the steps of
`versions`, and only it loads Alembic. The two ways lead to the same tables, which a test proves.
"""

from __future__ import annotations

import logging
import pathlib
from typing import Any

import sqlalchemy as sa

from boxwright import errors
from boxwright.metadata import schema

REVISIONS = tuple(f"{number:04d}" for number in range(1, 17))
HEAD = REVISIONS[-1]

_stamps = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of the database's schema; None for a database without our tables."""
    inspector = sa.inspect(connection)
    if inspector.has_table(_stamps.name):
        return connection.execute(sa.select(_stamps.c.version_num)).scalar()
    return REVISIONS[0] if inspector.has_table("schema_version") else None  # the mark before there were revisions


def create(connection: sa.Connection) -> None:
    """Makes the tables of this version, unless somebody else has just done so."""
    if revision_of(connection) is None:
        schema.metadata.create_all(connection)
        _stamps.create(connection)
        connection.execute(_stamps.insert().values(version_num=HEAD))


def other_revision(label: str, found: str) -> errors.ApiError:
    """FAILED_PRECONDITION: what to do about a database of another version."""
    if found in REVISIONS:
        return errors.failed_precondition(
            f"The database {label} has schema {found}, this Boxwright needs {HEAD}. Make a backup, stop every process that "
            "uses it, and run `boxwright migrate` with the same settings."
        )
    return errors.failed_precondition(
        f"The database {label} has schema {found}, which this Boxwright does not know: a newer version made it. Run that "
        "version, or restore an older backup."
    )


def upgrade(connection: sa.Connection, found: str | None, to: str = HEAD) -> None:
    """Runs the steps from revision `found` (None: an empty database) inside the caller's transaction."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # who upgrades says so; its own account is of no use
    from alembic import config, script
    from alembic.runtime import environment

    settings = config.Config()
    settings.set_main_option("script_location", str(pathlib.Path(__file__).parent))
    scripts = script.ScriptDirectory.from_config(settings)

    if found is not None and not sa.inspect(connection).has_table(_stamps.name):  # from before there were revisions
        _stamps.create(connection)
        connection.execute(_stamps.insert().values(version_num=found))

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(to, revision)

    with environment.EnvironmentContext(settings, scripts, fn=steps) as runner:
        runner.configure(connection=connection, transactional_ddl=True)
        runner.run_migrations()
