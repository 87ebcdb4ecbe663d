"""The schema's history: what the steps lead to is what the tables say, and nothing is lost on the way."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import autogenerate, script
from alembic.config import Config
from alembic.runtime import migration
from tests.support.machine.waiting import PATIENCE_S

from boxwright import errors
from boxwright.metadata import database, migrations, schema

FIRST = "0001"  # what was there before there were revisions


def _tables(db: database.Database) -> dict[str, Any]:
    """Everything that the database itself knows of its tables."""
    with db.read() as connection:
        inspector = sa.inspect(connection)
        return {
            table: {
                "columns": {
                    column["name"]: (repr(column["type"]), column["nullable"], column["default"])
                    for column in inspector.get_columns(table)
                },
                "key": inspector.get_pk_constraint(table)["constrained_columns"],
                "unique": sorted(tuple(found["column_names"]) for found in inspector.get_unique_constraints(table)),
                "checks": sorted((found["name"], found["sqltext"]) for found in inspector.get_check_constraints(table)),
                "indexes": sorted(
                    (found["name"], tuple(found["column_names"]), bool(found["unique"]))
                    for found in inspector.get_indexes(table)
                ),
            }
            for table in inspector.get_table_names()
        }


@pytest.fixture
def opened():
    """Opens databases and closes them."""
    found: list[database.Database] = []

    def open_one(place: pathlib.Path | str, **options: bool) -> database.Database:
        found.append(database.Database(place, **options))
        return found[-1]

    yield open_one
    for db in found:
        db.close()


@pytest.fixture
def two_places(request, tmp_path, database_place):
    """The test's database and another empty one of the same kind."""
    if isinstance(database_place, pathlib.Path):
        return database_place, tmp_path / "other.sqlite"
    return database_place, request.getfixturevalue("postgres").new_database()


def _make_first(db: database.Database, rows: int = 0) -> None:
    """Gives an empty database the first schema, with a few operations in it, as the version before migrations did."""
    with db.write() as connection:
        migrations.upgrade(connection, None, FIRST)
        connection.execute(sa.text("DROP TABLE alembic_version"))
        connection.execute(sa.text("INSERT INTO schema_version VALUES (1)"))
        for number in range(1, rows + 1):
            connection.execute(
                sa.text(
                    "INSERT INTO operations (id, project, location, kind, state, request, details, works_on, "
                    "progress_percent, partial_failures, output_directory, create_time_us, update_time_us, lease_epoch, "
                    f"attempts) VALUES ('IOD{number}', 'p', 'l', 'import_data', 'PENDING', :nothing, :nothing, '', "
                    f"{number}, '[]', '', {number}000, {number}000, 0, 0)"
                ),
                {"nothing": b""},
            )


def test_the_steps_lead_to_the_tables_of_the_schema(opened, two_places):
    made, migrated = opened(two_places[0]), opened(two_places[1], prepare=False)
    assert migrated.migrate() == (None, migrations.HEAD)
    assert _tables(migrated) == _tables(made)


def test_alembic_itself_finds_no_difference(opened, database_place):
    db = opened(database_place, prepare=False)
    db.migrate()
    with db.read() as connection:
        context = migration.MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert autogenerate.compare_metadata(context, schema.metadata) == []


def test_an_older_database_is_refused_until_it_is_migrated_and_keeps_what_is_in_it(opened, database_place):
    db = opened(database_place, prepare=False)
    _make_first(db, rows=3)
    with pytest.raises(errors.ApiError, match=r"has schema 0001.*boxwright migrate"):
        opened(database_place)
    assert db.migrate() == (FIRST, migrations.HEAD)
    with opened(database_place).read() as connection:
        table = schema.operations
        columns = (table.c.id, table.c.progress_percent, table.c.queued_time_us, table.c.caller)
        rows = connection.execute(sa.select(*columns).order_by(table.c.id)).all()
    assert rows == [("IOD1", 1, 1000, ""), ("IOD2", 2, 2000, ""), ("IOD3", 3, 3000, "")]


def test_examples_with_boxes_and_models_become_those_of_detection(opened, database_place):
    db = opened(database_place, prepare=False)
    _make_first(db)
    boxes = [(1, 1, "s1", 0.1, 0.2, 0.3, 0.4), (2, 1, "s1", 0.25, 0.5, 0.75, 1.0), (3, 2, "s2", 0.0, 0.0, 1.0, 1.0)]
    with db.write() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO examples (id, dataset_id, sha256, uri, ml_use, width_px, height_px) VALUES "
                "(1, 'IOD1', 'a', 'gs://b/a', 'TRAIN', 9, 9), (2, 'IOD1', 'b', 'gs://b/b', 'TEST', 9, 9), "
                "(3, 'IOD1', 'c', 'gs://b/empty', 'TEST', 9, 9)"
            )
        )
        for box in boxes:
            connection.execute(sa.text(f"INSERT INTO annotations VALUES {box}"))
        connection.execute(
            sa.text(
                "INSERT INTO models (id, project, location, display_name, dataset_id, model_type, labels, etag, "
                "create_time_us, update_time_us, deployment_state, node_count, stop_reason, "
                "train_budget_milli_node_hours, train_cost_milli_node_hours, folder) VALUES "
                "('IOD5', 'p', 'l', 'm', 'IOD1', 'mobile-versatile-1', '{}', 'e', 1, 1, 'UNDEPLOYED', 0, '', 1, 1, 'f')"
            )
        )
    db.migrate()
    with db.write() as connection:
        kept = list(schema.annotations.c)[:7]
        assert connection.execute(sa.select(*kept).order_by(schema.annotations.c.id)).all() == boxes
        found = connection.execute(sa.select(schema.examples.c.id, schema.examples.c.state)).all()
        assert sorted(found) == [(1, "LABELED"), (2, "LABELED"), (3, "LABELED")], "the empty one, too"
        columns = (schema.models.c.metadata_member, schema.models.c.base_model_id)
        assert connection.execute(sa.select(*columns)).all() == [("image_object_detection_model_metadata", "")]
        connection.execute(schema.annotations.insert().values(id=4, example_id=2, annotation_spec_id="s2"))
    with pytest.raises(sa.exc.SQLAlchemyError), db.write() as connection:
        connection.execute(schema.examples.update().values(state="ODD"))


def test_examples_get_the_names_of_their_files_and_their_counts(opened, database_place):
    db = opened(database_place, prepare=False)
    with db.write() as connection:
        migrations.upgrade(connection, None, "0014")
        connection.execute(
            sa.text(
                "INSERT INTO examples (id, dataset_id, sha256, uri, ml_use, width_px, height_px, state) VALUES "
                "(1, 'IOD1', 'a', 'gs://b/sub/a.jpg', 'TRAIN', 100, 200, 'LABELED'), "
                f"(2, 'IOD1', 'b', 'gs://b/{'ü' * 300}', 'TEST', 100, 100, 'SUGGESTED'), "
                "(3, 'IOD1', 'c', 'gs://b/', 'TEST', 9, 9, 'UNLABELED')"
            )
        )
        for box in [(1, 1, "s1", 0.0, 0.0, 0.5, 0.125), (2, 1, "s1", 0.0, 0.0, 0.5, 1.0), (3, 2, "s1", 0, 0, 1, 1)]:
            names = "id, example_id, annotation_spec_id, x_min, y_min, x_max, y_max"
            connection.execute(sa.text(f"INSERT INTO annotations ({names}) VALUES {box}"))
    db.migrate()
    table = schema.examples
    with db.read() as connection:
        columns = (table.c.display_name, table.c.annotation_count, table.c.min_edge_px)
        assert connection.execute(sa.select(*columns).order_by(table.c.id)).all() == [
            ("a.jpg", 2, 25.0),
            ("ü" * 255, 1, 100.0),
            ("", 0, None),
        ]
        sources = sa.select(schema.annotations.c.source).order_by(schema.annotations.c.id)
        assert connection.execute(sources).scalars().all() == ["IMPORTED", "IMPORTED", "MODEL"]


def test_an_older_database_that_was_migrated_is_like_a_new_one(opened, two_places):
    older = opened(two_places[1], prepare=False)
    _make_first(older)
    older.migrate()
    assert _tables(older) == _tables(opened(two_places[0]))


def test_migrating_again_changes_nothing(opened, database_place):
    db = opened(database_place)
    before = _tables(db)
    assert db.migrate() == (migrations.HEAD, migrations.HEAD)
    assert _tables(db) == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(opened, database_place):
    db = opened(database_place, prepare=False)
    _make_first(db, rows=2)
    with db.write() as connection:
        connection.execute(sa.text("DROP INDEX operations_to_claim"))  # so that the second step cannot drop it
    before = _tables(db)
    with pytest.raises(sa.exc.SQLAlchemyError):
        db.migrate()
    assert _tables(db) == before


def test_the_revisions_that_are_named_are_those_that_are_there():
    settings = Config()
    settings.set_main_option("script_location", str(pathlib.Path(migrations.__file__).parent))
    walked = [step.revision for step in script.ScriptDirectory.from_config(settings).walk_revisions()]
    assert tuple(reversed(walked)) == migrations.REVISIONS


def _migrate(place: pathlib.Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "boxwright.cli", "migrate"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    if isinstance(place, pathlib.Path):
        command += ["--data-dir", str(place.parent)]
    else:
        environment["BOXWRIGHT_DATABASE_URL"] = place
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_command_says_from_where_to_where(opened, database_place):
    _make_first(opened(database_place, prepare=False), rows=1)
    done = _migrate(database_place)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"schema 0001 → {migrations.HEAD}\n" in done.stdout
    again = _migrate(database_place)
    assert "nothing to do" in again.stdout


def test_the_command_refuses_a_newer_database_and_a_folder_that_is_not_there(opened, database_place, tmp_path):
    with opened(database_place).write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    done = _migrate(database_place)
    assert done.returncode == 2
    assert "newer version" in done.stderr
    missing = _migrate(tmp_path / "nowhere" / "metadata.sqlite")
    assert missing.returncode == 2
    assert "--data-dir" in missing.stderr


def test_opening_a_database_does_not_load_alembic(tmp_path):
    program = (
        "import pathlib, sys; from boxwright.metadata import database\n"
        f"database.Database(pathlib.Path({str(tmp_path / 'metadata.sqlite')!r})).close()\n"
        "print('alembic' in sys.modules, 'pg8000' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
