"""Two versions on one database: expand, replace the processes, contract."""

from __future__ import annotations

import contextlib
import urllib.request

import pytest
import sqlalchemy as sa
from google.rpc import status_pb2
from tests.support.clients.api import open_api
from tests.support.operations.ledgers import Kind, open_ledger, start
from tests.support.releases import next_release
from tests.support.releases.next_release import BOTH, NEXT

from boxwright import errors
from boxwright.metadata import database, migrations


def _work(place, *names: str) -> None:
    """Statements of this version: a queue that is filled, claimed from, ended."""
    ledger = open_ledger(place)
    try:
        start(ledger, *names)
        for name in names:
            claimed = ledger.claim([Kind.IMPORT_DATA], "w")
            assert claimed.name.operation == name
            ledger.finish(claimed.lease, status_pb2.Status(code=3, message="no"))
    finally:
        ledger._db.close()


def test_this_version_works_before_and_after_the_next_one_expands_and_not_after_it_contracts(tmp_path, database_place):
    code = next_release.make(tmp_path / "next")
    _work(database_place, "IOD1")
    checked = next_release.migrate(code, database_place, "--check")
    assert (checked.returncode, "boxwright migrate --expand" in checked.stdout) == (1, True), checked
    refused = next_release.migrate(code, database_place, "--contract")
    assert (refused.returncode, "is not expanded" in refused.stderr) == (2, True), refused

    expanded = next_release.migrate(code, database_place, "--expand")
    assert f"schema {migrations.HEAD} → {BOTH}" in expanded.stdout, expanded
    _work(database_place, "IOD2", "IOD3")
    with contextlib.closing(database.Database(database_place)) as db:
        assert db.schema_problem() is None
    checked = next_release.migrate(None, database_place, "--check")
    assert (checked.returncode, f"expanded for a newer version ({NEXT})" in checked.stdout) == (0, True), checked
    checked = next_release.migrate(code, database_place, "--check")
    assert (checked.returncode, "boxwright migrate --contract" in checked.stdout) == (0, True), checked

    contracted = next_release.migrate(code, database_place, "--contract")
    assert f"schema {BOTH} → {NEXT}" in contracted.stdout, contracted
    with pytest.raises(errors.ApiError, match="newer version made it"):
        database.Database(database_place)
    with contextlib.closing(database.Database(database_place, prepare=False)) as db, db.read() as connection:
        columns = {
            table: {c["name"] for c in sa.inspect(connection).get_columns(table)} for table in ("changes", "datasets")
        }
        assert "has_deleted" not in columns["changes"]
        assert "note" in columns["datasets"]


def test_plain_migrate_does_both_steps_also_of_a_schema_that_is_expanded(tmp_path):
    database_place = tmp_path / "metadata.sqlite"
    code = next_release.make(tmp_path / "next")
    _work(database_place, "IOD1")
    next_release.migrate(code, database_place, "--expand")
    done = next_release.migrate(code, database_place)
    assert f"schema {BOTH} → {NEXT}" in done.stdout, done
    assert "nothing to do" in next_release.migrate(code, database_place).stdout


def test_a_version_that_serves_one_schema_alone_is_stopped_for_the_move(tmp_path):
    place = tmp_path / "metadata.sqlite"
    with contextlib.closing(database.Database(place, prepare=False)) as db:
        with db.write() as connection:
            migrations.upgrade(connection, None, "0015")
        with pytest.raises(errors.ApiError, match="Stop every process"):
            db.migrate(migrations.Step.EXPAND)
        with db.read() as connection:
            assert migrations.revision_of(connection) == "0015"
            assert migrations.check(db.label, "0015")[0] is False
        assert db.migrate() == ("0015", migrations.HEAD)


def test_every_revision_from_the_first_that_serves_two_has_both_steps():
    for script in migrations._scripts().walk_revisions():
        assert hasattr(script.module, "contract") == (script.revision >= migrations.FIRST_SERVED), script.revision


@pytest.mark.full
def test_a_service_of_each_version_serves_one_database(service_factory, postgres, tmp_path):
    url = postgres.new_database()
    code = next_release.make(tmp_path / "next")
    environment = {"BOXWRIGHT_DATABASE_URL": url}
    former = service_factory(environment=environment)
    with open_api(former) as api:
        first = api.create_dataset("first")
        assert next_release.migrate(code, url, "--expand").returncode == 0
        newer = service_factory(environment=environment | {"PYTHONPATH": f"{code}"})
        with open_api(newer) as other:
            second, third = other.create_dataset("second"), api.create_dataset("third")
            parent = first.partition("/datasets/")[0]
            for one in (api, other):
                assert {found.name for found in one.automl.list_datasets(parent=parent)} == {first, second, third}
            for service in (former, newer):
                assert urllib.request.urlopen(service.url + "/readyz", timeout=60).status == 200
            former.stop()
            assert next_release.migrate(code, url, "--contract").returncode == 0
            assert other.automl.get_dataset(name=third).display_name == "third"
            fourth = other.create_dataset("fourth")
            assert other.automl.get_dataset(name=fourth).display_name == "fourth"
