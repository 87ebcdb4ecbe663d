"""PostgreSQL as the metadata store: what the service says when the server is away, and how it goes on."""

from __future__ import annotations

import contextlib
import gc
import itertools
import pathlib
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from google.rpc import code_pb2
from tests.support.clients.api import open_api
from tests.support.databases import postgres as servers
from tests.support.databases import rough_line
from tests.support.images import drawn_images
from tests.support.operations.ledgers import Kind, open_ledger, row_of, start

from boxwright import errors, settings
from boxwright.metadata import database, datasets, schema

AWAY = "postgresql+pg8000://user:secret@127.0.0.1:{port}/metadata"


@pytest.fixture
def db(postgres):
    opened = database.Database(postgres.new_database())
    yield opened
    opened.close()


def test_a_server_that_is_away_is_unavailable_and_the_password_is_not_shown(free_port):
    with pytest.raises(database.Transient, match="cannot be reached") as caught:
        database.Database(AWAY.format(port=free_port))
    assert caught.value.code == code_pb2.UNAVAILABLE
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(postgres):
    url = sa.make_url(postgres.new_database()).set(database="nothing")
    with pytest.raises(errors.ApiError, match=r"/nothing.* (let nobody in|does not exist)") as caught:
        database.Database(str(url))
    # the driver does not always read the server's reason before it sees the end of the connection
    assert caught.value.code in (code_pb2.FAILED_PRECONDITION, code_pb2.UNAVAILABLE)


@pytest.mark.parametrize("url", ["", "no url", "mysql://h/d", "postgresql+psycopg://h/d", "postgresql://h/d"])
def test_another_driver_is_refused_at_once(url):
    with pytest.raises(errors.ApiError) as caught:
        database.Database(url)
    assert caught.value.code == code_pb2.INVALID_ARGUMENT


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the driver forgets a cut connection
def test_a_server_that_was_restarted_costs_nobody_an_error():
    try:
        with servers.running() as cluster:
            ledger = open_ledger(cluster.new_database())
            start(ledger, "IOD1")
            lease = ledger.claim([Kind.IMPORT_DATA], "w").lease
            cluster.stop()
            with pytest.raises(database.Transient):
                ledger.renew(lease)
            cluster.start()
            assert ledger.renew(lease) is False
            assert row_of(ledger, "IOD1").lease_owner == "w"
            ledger._db.close()
            del ledger
            gc.collect()  # here, where the warning is let through
    except servers.Missing as missing:
        pytest.skip(str(missing))


@contextlib.contextmanager
def _database_at_a_line(postgres) -> Iterator[tuple[rough_line.Line, database.Database]]:
    url = sa.make_url(postgres.new_database())
    with rough_line.to(pathlib.Path(str(url.query["unix_sock"]))) as line:
        opened = database.Database(str(url.set(host="127.0.0.1", port=line.port, query={})))
        yield line, opened
        opened.close()
        del opened
    gc.collect()  # here, where the warning is let through


def _clock_us(db: database.Database) -> int:
    with db.read() as connection:
        return database.now_us(connection)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the driver forgets a cut connection
@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "in a statement"])
def test_a_line_that_is_reset_under_a_transaction_is_a_database_that_is_away(postgres, is_idle):
    with _database_at_a_line(postgres) as (line, db):
        with pytest.raises(database.Transient, match="cannot be reached") as caught, db.read() as connection:
            if is_idle:
                line.cut()
            else:
                threading.Timer(0.5, line.cut).start()
                connection.execute(sa.text("SELECT pg_sleep(30)"))
        assert caught.value.code == code_pb2.UNAVAILABLE
        assert caught.value.message == "The metadata database cannot be reached, or let nobody in.", (
            "callers learn no more"
        )
        assert _clock_us(db) > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_lines_that_were_reset_while_nobody_used_them_cost_nobody_an_error(postgres):
    with _database_at_a_line(postgres) as (line, db):
        with contextlib.ExitStack() as held:
            for _ in range(3):
                held.enter_context(db.read())
        line.cut()
        for _ in range(3):
            assert _clock_us(db) > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_falls_silent_is_away(postgres, monkeypatch):
    monkeypatch.setattr(database, "SILENCE_TIMEOUT_S", 1)
    with _database_at_a_line(postgres) as (line, db):
        line.is_silent = True
        with pytest.raises(database.Transient, match="cannot be reached"):
            _clock_us(db)
        line.is_silent = False
        assert _clock_us(db) > 0


def test_a_reader_cannot_write(db):
    with pytest.raises(sa.exc.SQLAlchemyError), db.read() as connection:
        connection.execute(sa.delete(schema.operations))


def test_a_text_that_cannot_be_stored_is_the_callers_mistake(db):
    values = {"id": "IOD1", "project": "p", "location": "l", "display_name": "d", "metadata_member": "m", "labels": {}}
    times = {"create_time_us": 1, "update_time_us": 1}
    with pytest.raises(errors.ApiError) as caught, db.write() as connection:
        datasets.insert(connection, {**values, **times, "etag": "e", "description": "a\0b"})
    assert caught.value.code == code_pb2.INVALID_ARGUMENT


def test_imports_into_one_dataset_at_once_merge_without_doubles(db):
    values = {"id": "IOD1", "project": "p", "location": "l", "display_name": "d", "metadata_member": "m"}
    with db.write() as connection:
        times = {"create_time_us": 1, "update_time_us": 1}
        datasets.insert(connection, {**values, **times, "labels": {}, "etag": "e"})
    ids, failures = itertools.count(1), []

    def merge(first: int) -> None:
        try:
            for batch in range(4):
                images = [
                    {
                        "sha256": f"{number:064}", "uri": f"gs://b/{number}.jpg", "ml_use": "TRAIN", "width_px": 9,
                        "height_px": 9, "state": "LABELED", "annotations": [(f"label{number % 3}", 0.1, 0.1, 0.5, 0.5)],
                    }
                    for number in range(first + 10 * batch, first + 10 * batch + 20)
                ]  # fmt: skip
                with db.write() as connection:
                    datasets.merge(connection, "IOD1", images, lambda: str(next(ids)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=merge, args=(first,)) for first in (0, 5, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with db.read() as connection:
        assert [name for _, name in datasets.specs(connection, "IOD1")] == ["label0", "label1", "label2"]
        counts = [connection.execute(sa.select(sa.func.count()).select_from(t)).scalar() for t in
                  (schema.examples, schema.annotations)]  # fmt: skip
        total = connection.execute(sa.select(schema.datasets.c.example_count)).scalar()
    assert counts == [55, 55]
    assert total == 55


def test_labels_have_the_same_order_as_in_sqlite(db, tmp_path: pathlib.Path):
    file = database.Database(tmp_path / "metadata.sqlite")
    orders = []
    for opened in (db, file):
        with opened.write() as connection:
            rows = [{"id": str(n), "dataset_id": "d", "display_name": t} for n, t in enumerate("bBaA_-zÄä 1")]
            connection.execute(schema.annotation_specs.insert(), rows)
        with opened.read() as connection:
            orders.append([name for _, name in datasets.specs(connection, "d")])
    file.close()
    assert orders[0] == orders[1]


def test_a_client_notices_no_difference(service_factory, postgres):
    service = service_factory(environment={"BOXWRIGHT_DATABASE_URL": postgres.new_database()})
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", 12)
    rows = [f"TRAIN,gs://b/images/{name},label{n % 2},0.1,0.1,,,0.9,0.9,," for n, name in enumerate(names)]
    uri = drawn_images.write_csv(bucket, "import.csv", rows)
    with open_api(service) as api:
        name = api.create_dataset("first")
        others = [api.create_dataset(f"d{number}") for number in range(3)]
        assert not api.finished(api.start_import(name, uri)).HasField("error")
        found = api.automl.get_dataset(name=name)
        assert (found.display_name, found.example_count) == ("first", 12)
        pages = api.automl.list_datasets(request={"parent": name.partition("/datasets/")[0], "page_size": 2})
        assert [dataset.name for dataset in pages] == [*reversed(others), name]
        found.description = "changed"
        changed = api.automl.update_dataset(dataset=found, update_mask={"paths": ["description"]})
        assert changed.description == "changed"
        api.automl.delete_dataset(name=name).result(timeout=30)
        assert len(list(api.automl.list_datasets(parent=name.partition("/datasets/")[0]))) == 3
    assert not (service.data_dir / "metadata.sqlite").exists()
    assert "Traceback" not in service.tail()


def test_a_pool_without_a_free_connection_says_so(postgres, monkeypatch):
    monkeypatch.setattr(database, "POOL_TIMEOUT_S", 0.05)
    small = database.Database(postgres.new_database(), connections=1)
    with small.read(), pytest.raises(database.Transient, match="in use"), small.read():
        pass
    small.close()


def test_a_secret_never_shows_in_the_label():
    url = AWAY.format(port=1)
    assert "secret" not in database.Database(url, prepare=False).label
    assert settings.read({"BOXWRIGHT_DATABASE_URL": url}).database.url == url
