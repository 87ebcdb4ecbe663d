"""Transactions: one moment for readers, one writer at a time, the database's own clock."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from boxwright import errors
from boxwright.metadata import database, migrations
from boxwright.metadata.schema import datasets


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


def _insert(db, dataset_id: str, create_time_us: int) -> None:
    values = {"id": dataset_id, "project": "p", "location": "l", "display_name": "d", "metadata_member": "m"}
    times = {"create_time_us": create_time_us, "update_time_us": create_time_us}
    with db.write() as connection:
        connection.execute(datasets.insert().values(**values, **times, labels={}, etag="e"))


def test_a_database_of_a_newer_version_is_refused(db, database_place):
    with db.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(errors.ApiError, match=r"schema 9999.*newer version"):
        database.Database(database_place)
    with pytest.raises(errors.ApiError, match=r"schema 9999.*newer version"):
        db.migrate()


def test_a_reader_sees_one_moment_while_a_writer_commits(db):
    _insert(db, "a", 1)
    with db.read() as reader:
        count = sa.select(sa.func.count()).select_from(datasets)
        assert reader.execute(count).scalar() == 1
        _insert(db, "b", 2)
        assert reader.execute(count).scalar() == 1
    with db.read() as reader:
        assert reader.execute(count).scalar() == 2


def test_the_databases_clock_is_the_time_of_day(db):
    with db.read() as connection:
        assert abs(database.now_us(connection) / 1e6 - time.time()) < 5


def test_what_a_writer_read_is_still_true_when_it_writes(db, database_place):
    _insert(db, "a", 0)
    failures: list[BaseException] = []
    together = threading.Barrier(4)

    def count_up() -> None:
        own = database.Database(database_place)
        together.wait()
        try:
            for _ in range(25):
                with own.write() as connection:
                    seen = connection.execute(sa.select(datasets.c.example_count)).scalar_one()
                    connection.execute(datasets.update().values(example_count=seen + 1))
        except BaseException as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with db.read() as connection:
        assert connection.execute(sa.select(datasets.c.example_count)).scalar_one() == 100


def test_a_write_that_fails_leaves_nothing(db):
    with pytest.raises(RuntimeError), db.write() as connection:
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('77')"))
        raise RuntimeError
    with db.read() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [
            migrations.HEAD
        ]
