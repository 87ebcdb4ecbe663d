"""Worker processes on PostgreSQL under fire: they share one queue, and what a dead one leaves another finishes."""

from __future__ import annotations

import contextlib
import pathlib
import threading
from collections.abc import Iterator

import psutil
import pytest
import sqlalchemy as sa
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import (
    ENVIRONMENT,
    INFERENCE,
    children_of,
    contents,
    stats,
    wait_until_gone,
    whole_shards,
)

from boxwright.batch.output.manifest import REPORT_FILES
from boxwright.metadata import database
from boxwright.metadata.schema import operations

IMAGES, SHARDS = 1200, 24  # fifty images each
TURN_S = "0.5"


@contextlib.contextmanager
def _rows(place: pathlib.Path | str) -> Iterator[dict[str, sa.Row]]:
    db = database.Database(place)
    with db.read() as connection:
        yield {row.id: row for row in connection.execute(sa.select(operations))}
    db.close()


def _write_list(bucket: pathlib.Path, name: str, images: list[str]) -> str:
    drawn_images.write_csv(bucket, name, [f"gs://b/images/{image}" for image in images])
    return f"gs://b/{name}"


def _settle(look, what: str):
    return wait_until(look, what, timeout_s=120, interval_s=0.005)


def test_what_a_killed_worker_left_another_finishes_with_the_same_bytes(
    service_factory, start_worker, tiny_model: TinyModel, postgres
):
    url = postgres.new_database()
    environment = {**ENVIRONMENT, "BOXWRIGHT_DATABASE_URL": url, "BOXWRIGHT_LEASE_TTL_S": "4"}
    service = service_factory(environment=environment, no_worker=True)
    bucket = service.bucket("b")
    images = drawn_images.write_images(bucket / "images", IMAGES)
    big = _write_list(bucket, "list.csv", images)
    smalls = [_write_list(bucket, f"{number}.csv", images[50 * number : 50 * number + 60]) for number in range(6)]
    model = tiny_model.install(service.data_dir, database_url=url)
    with open_api(service) as api:
        first, second = (start_worker(service, environment) for _ in range(2))
        name = api.start_batch(model, big, "gs://b/out/", score_threshold="0.3")
        folder = _settle(lambda: crashes.result_folder(bucket, "out"), "the folder")
        _settle(lambda: len(whole_shards(folder)) >= 3, "three shards")
        with _rows(url) as rows:
            assert {row.state for row in rows.values()} == {"RUNNING"}
        owner = first if children_of(first.pid, INFERENCE) else second
        other = second if owner is first else first
        orphans = children_of(owner.pid, INFERENCE)
        owner.kill()
        wait_until_gone(orphans)
        found = stats(folder)
        before = {shard: found[shard] for shard in whole_shards(folder)}
        assert 3 <= len(before) < SHARDS
        small_names = [
            api.start_batch(model, uri, f"gs://b/small-{number}/", score_threshold="0.3")
            for number, uri in enumerate(smalls)
        ]
        start_worker(service, environment)
        assert not api.finished(name, timeout_s=120).HasField("error")
        assert all(not api.finished(small, timeout_s=120).HasField("error") for small in small_names)
        after = stats(folder)
        assert {shard: after[shard] for shard in before} == before
        calm = api.start_batch(model, big, "gs://b/calm/", score_threshold="0.3")
        assert not api.finished(calm, timeout_s=120).HasField("error")
    assert contents(folder) == contents(crashes.result_folder(bucket, "calm"))
    assert len(whole_shards(folder)) == SHARDS
    with _rows(url) as rows:
        epochs = {row.id: row.lease_epoch for row in rows.values()}
    assert epochs.pop(name.rpartition("/")[2]) == 2
    assert set(epochs.values()) == {1}
    assert other.stop() == 0
    crashes.assert_tidy(service.data_dir)


@pytest.mark.full
def test_a_worker_that_is_asked_to_end_hands_its_work_back(service_factory, start_worker, tiny_model: TinyModel):
    service = service_factory(environment=ENVIRONMENT, no_worker=True)
    bucket = service.bucket("b")
    big = _write_list(bucket, "list.csv", drawn_images.write_images(bucket / "images", IMAGES))
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        first = start_worker(service, ENVIRONMENT)
        name = api.start_batch(model, big, "gs://b/out/", score_threshold="0.3")
        folder = _settle(lambda: crashes.result_folder(bucket, "out"), "the folder")
        _settle(lambda: len(whole_shards(folder)) >= 2, "two shards")
        children = [psutil.Process(child.pid) for child in children_of(first.pid)]
        assert first.stop() == 0
        wait_until_gone(children)
        with _rows(service.data_dir / "metadata.sqlite") as rows:
            (row,) = rows.values()
            assert (row.state, row.attempts) == ("PENDING", 0)
        start_worker(service, ENVIRONMENT)
        assert not api.finished(name, timeout_s=120).HasField("error")
    assert len(whole_shards(folder)) == SHARDS


@pytest.mark.full
def test_a_small_job_does_not_wait_behind_huge_ones_and_nothing_is_done_twice(service_factory, tiny_model: TinyModel):
    environment = {**ENVIRONMENT, "BOXWRIGHT_BATCH_SLICE_S": TURN_S, "BOXWRIGHT_BATCH_JOBS": "2"}
    service = service_factory(environment=environment)
    bucket = service.bucket("b")
    images = drawn_images.write_images(bucket / "images", IMAGES)
    big = _write_list(bucket, "list.csv", images)
    small = _write_list(bucket, "small.csv", images[:10])
    model = tiny_model.install(service.data_dir)
    seen: dict[pathlib.Path, tuple[int, int]] = {}
    ended, rewritten = threading.Event(), []

    def watch() -> None:
        """Notes every finished shard; one that changes afterwards was written twice."""
        while not ended.wait(0.02):
            for folder in bucket.glob("huge-*/prediction-*"):
                for shard in whole_shards(folder):
                    status = (folder / shard).stat()
                    if seen.setdefault(folder / shard, (status.st_ino, status.st_mtime_ns)) != (
                        status.st_ino,
                        status.st_mtime_ns,
                    ):
                        rewritten.append(shard)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with open_api(service) as api:
            huge = [api.start_batch(model, big, f"gs://b/huge-{number}/", score_threshold="0.3") for number in range(3)]
            _settle(lambda: len(seen) >= 2, "the huge ones to be under way")
            tiny = api.start_batch(model, small, "gs://b/tiny/", score_threshold="0.3")
            finished = [api.finished(name, timeout_s=240) for name in (tiny, *huge)]
            assert not any(operation.HasField("error") for operation in finished)
            tiny_end, *huge_ends = [metadata(operation).update_time for operation in finished]
            assert tiny_end < min(huge_ends)
    finally:
        ended.set()
        watcher.join()
    assert rewritten == []
    outputs = [contents(crashes.result_folder(bucket, f"huge-{number}")) for number in range(3)]
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0]) == 2 * SHARDS + 1 + len(REPORT_FILES)  # with their candidates; the manifest and the report
    with _rows(service.data_dir / "metadata.sqlite") as rows:
        turns = {name.rpartition("/")[2]: rows[name.rpartition("/")[2]] for name in huge}
        assert any(row.lease_epoch > 1 for row in turns.values()), "nobody gave up a lane"
        assert all(row.attempts == 1 for row in turns.values()), "a turn counted as a failed attempt"
