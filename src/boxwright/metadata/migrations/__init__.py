"""The schema's history: which revision a database is at, creating a new one, upgrading an old one.

A new database is made from `schema` at once and stamped with the newest revision; only `upgrade` runs the steps of
`versions`, and only it loads Alembic. The two ways lead to the same tables, which a test proves.

A revision from `FIRST_SERVED` on has two steps. `upgrade` expands: it adds what the new version needs, and leaves all that
the former one reads and writes. `contract` takes that away. In between the database is stamped `FORMER..NEW`, and the
processes of both versions accept it. Statements of the former version must work after `upgrade`: new columns have a
default or may be null, nothing is renamed, and no constraint becomes narrower.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import pathlib
from typing import Any

import sqlalchemy as sa

from boxwright import errors
from boxwright.metadata import schema

REVISIONS = tuple(f"{number:04d}" for number in range(1, 17))
HEAD = REVISIONS[-1]
FIRST_SERVED = "0016"  # the first version whose processes accept a schema that is expanded for the next
BETWEEN = ".."


class Step(enum.Enum):
    """What a migration does of its work."""

    BOTH = "both"
    EXPAND = "expand"
    CONTRACT = "contract"


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
    stamp = Stamp.parse(found)
    if stamp.newest in REVISIONS:
        return errors.failed_precondition(
            f"The database {label} has schema {found}, this Boxwright needs {HEAD}. {_what_to_run(stamp)}"
        )
    return errors.failed_precondition(
        f"The database {label} has schema {found}, which this Boxwright does not know: a newer version made it. Run that "
        "version, or restore an older backup."
    )


def _what_to_run(stamp: Stamp) -> str:
    if stamp.newest >= FIRST_SERVED and stamp.newest == stamp.oldest:
        return (
            "Make a backup, and run `boxwright migrate --expand` with the same settings: the former version goes on to "
            "work meanwhile."
        )
    return "Make a backup, stop every process that uses it, and run `boxwright migrate` with the same settings."


@dataclasses.dataclass(frozen=True)
class Stamp:
    """What a database says of its schema: one revision, or `OLDEST..NEWEST` while it serves two versions.

    Attributes:
        oldest: the revision of the former version, whose columns and tables are all still there.
        newest: the revision whose columns and tables are all there already.
    """

    oldest: str
    newest: str

    @classmethod
    def parse(cls, text: str) -> Stamp:
        """Reads what was stored; what is not understood names a revision that nobody knows."""
        oldest, _, newest = text.partition(BETWEEN)
        return cls(oldest, newest or oldest)

    def __str__(self) -> str:
        return self.newest if self.oldest == self.newest else f"{self.oldest}{BETWEEN}{self.newest}"

    @property
    def serves_this_version(self) -> bool:
        """Whether the processes of this version can work with it."""
        return HEAD in (self.oldest, self.newest)


def check(label: str, found: str | None) -> tuple[bool, str]:
    """Says whether this version can work with a schema, and which step is to be run, in words.

    Raises:
        ApiError: FAILED_PRECONDITION: a newer version made it, and does not serve this one.
    """
    if found is None:
        return False, f"the first start, or `boxwright migrate`, makes the tables of {HEAD}"
    stamp = Stamp.parse(found)
    if stamp.newest == HEAD and stamp.oldest != HEAD:
        return True, (
            f"serves this version and the one before ({stamp.oldest}); when none of its processes runs, run "
            "`boxwright migrate --contract`"
        )
    if stamp.serves_this_version:
        return (
            True,
            "nothing to do" if stamp.oldest == stamp.newest else f"is expanded for a newer version ({stamp.newest})",
        )
    if stamp.newest not in REVISIONS:
        raise other_revision(label, found)
    return False, f"this version needs {HEAD}. {_what_to_run(stamp)}"


def expand(connection: sa.Connection, found: str) -> str:
    """Adds what this version needs and takes nothing away, inside the caller's transaction; returns the new stamp.

    Raises:
        ApiError: FAILED_PRECONDITION: the database's version cannot work with two schemas, or has not ended its last move.
    """
    stamp = Stamp.parse(found)
    if stamp.newest == HEAD:
        return found
    if stamp.oldest != stamp.newest:
        raise errors.failed_precondition(
            f"The schema {found} still serves the version before. Run `boxwright migrate --contract` first, when none of "
            "that version's processes runs any more."
        )
    if found < FIRST_SERVED:
        raise errors.failed_precondition(
            f"The version of schema {found} does not work with a newer schema. Stop every process that uses the database, "
            "make a backup, and run `boxwright migrate`."
        )
    upgrade(connection, found)
    return _stamp(connection, Stamp(found, HEAD))


def contract(connection: sa.Connection, found: str) -> str:
    """Takes away what only the former version needed, inside the caller's transaction; returns the new stamp.

    Raises:
        ApiError: FAILED_PRECONDITION: the database is not expanded to this version.
    """
    stamp = Stamp.parse(found)
    if stamp.newest != HEAD:
        raise errors.failed_precondition(
            f"The schema {found} is not expanded to {HEAD}. Run `boxwright migrate --expand` first."
        )
    _contract(connection, stamp)
    return _stamp(connection, Stamp(HEAD, HEAD))


def _contract(connection: sa.Connection, stamp: Stamp) -> None:
    """Runs the contracting steps of the revisions after `stamp.oldest`, up to `stamp.newest`."""
    if stamp.oldest == stamp.newest:
        return
    from alembic import operations
    from alembic.runtime import migration

    context = migration.MigrationContext.configure(connection)
    with operations.Operations.context(context):
        for script in reversed(list(_scripts().walk_revisions(stamp.oldest, stamp.newest))):
            if script.revision != stamp.oldest:
                script.module.contract()


def _stamp(connection: sa.Connection, stamp: Stamp) -> str:
    connection.execute(_stamps.update().values(version_num=str(stamp)))
    return str(stamp)


def upgrade(connection: sa.Connection, found: str | None, to: str = HEAD) -> None:
    """Runs the expanding steps from revision `found` (None: an empty database) inside the caller's transaction.

    Revisions before `FIRST_SERVED` do all of their work in them.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)  # who upgrades says so; its own account is of no use
    from alembic.runtime import environment

    scripts = _scripts()
    if found is not None and not sa.inspect(connection).has_table(_stamps.name):  # from before there were revisions
        _stamps.create(connection)
        connection.execute(_stamps.insert().values(version_num=found))

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(to, revision)

    with environment.EnvironmentContext(_settings(), scripts, fn=steps) as runner:
        runner.configure(connection=connection, transactional_ddl=True)
        runner.run_migrations()


def migrate(connection: sa.Connection, found: str | None) -> str:
    """Brings the schema to this version's alone, inside the caller's transaction; returns its stamp."""
    oldest = found
    if found is not None:
        stamp = Stamp.parse(found)
        _contract(connection, stamp)
        if stamp.oldest != stamp.newest:
            _stamp(connection, Stamp(stamp.newest, stamp.newest))
        oldest = stamp.newest
    upgrade(connection, oldest)
    _contract(connection, Stamp(max(oldest or "", REVISIONS[REVISIONS.index(FIRST_SERVED) - 1]), HEAD))
    return HEAD


def _settings() -> Any:
    from alembic import config

    settings = config.Config()
    settings.set_main_option("script_location", str(pathlib.Path(__file__).parent))
    return settings


def _scripts() -> Any:
    from alembic import script

    return script.ScriptDirectory.from_config(_settings())
