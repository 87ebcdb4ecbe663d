"""Retention of a real job's folder: candidates go, results stay, `verify` and later jobs say so; also after a kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

from boxwright import names, objects, verify
from boxwright.batch.output import tombstone
from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.operations.ledger import Ledger
from boxwright.runners.retention import KeptDays, Retention
from boxwright.settings import StorageSettings

TEN_DAYS_US = 10 * 86_400_000_000
SWEEP = """
import pathlib, sys
from boxwright import objects
from boxwright.metadata import database
from boxwright.runners.retention import KeptDays, Retention
data_dir, buckets = map(pathlib.Path, sys.argv[1:])
db = database.Database(data_dir / "metadata.sqlite")
print(Retention(db, objects.Stores(buckets, data_dir / "state"), KeptDays(candidates=5)).sweep())
"""


class Job:
    """A batch prediction of five images in three shards, which has ended ten days ago."""

    def __init__(self, service: Any, model: str, output: str) -> None:
        self.service, self.model, self.output = service, model, output
        with open_api(service) as api:
            self.name = api.start_batch(model, "gs://kept/list.csv", f"gs://kept/{output}/")
            assert not api.finished(self.name).HasField("error")
        found = crashes.result_folder(service.bucket("kept"), output)
        assert found is not None
        self.folder = found
        self.change(done_time_us=operations.c.done_time_us - TEN_DAYS_US)

    @property
    def uri(self) -> str:
        return f"gs://kept/{self.output}/{self.folder.name}"

    def change(self, **values: Any) -> None:
        with self.database() as db, db.write() as connection:
            own = operations.c.id == self.name.rpartition("/")[2]
            connection.execute(operations.update().where(own).values(**values))

    @contextlib.contextmanager
    def database(self) -> Iterator[database.Database]:
        with contextlib.closing(database.Database(self.service.data_dir / "metadata.sqlite")) as db:
            yield db

    def sweep(self, **days: float) -> tuple[int, int]:
        with self.database() as db:
            stores = objects.Stores(self.service.buckets, self.service.data_dir / "state")
            return Retention(db, stores, KeptDays(**days)).sweep()

    def verify(self) -> int:
        data_dir, buckets = self.service.data_dir, self.service.buckets
        return verify.run(self.uri, StorageSettings(data_dir=data_dir, buckets_dir=buckets))

    def candidates(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "candidates").glob("*"))

    def is_known(self) -> bool:
        with self.database() as db:
            return Ledger(db, lease_ttl_s=10).find(names.OperationName.parse(self.name)) is not None


@pytest.fixture(scope="module")
def model(service: Any, tiny_model: TinyModel) -> str:
    bucket = service.bucket("kept")
    written = drawn_images.write_images(bucket, 5)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://kept/{name}" for name in written])
    return tiny_model.install(service.data_dir, "IOD7500000000000000001")


def test_candidates_go_and_everything_else_stays(service, model, capsys) -> None:
    job = Job(service, model, "go")
    before = crashes.contents(job.folder)
    assert job.candidates() and job.verify() == 0
    assert job.sweep(candidates=20) == (0, 0) and crashes.contents(job.folder) == before
    assert job.sweep(candidates=5) == (1, 0)
    assert job.sweep(candidates=5) == (0, 0)
    after = crashes.contents(job.folder)
    stone = after.pop(tombstone.TOMBSTONE_FILE)
    assert job.candidates() == []
    assert after == {name: content for name, content in before.items() if not name.startswith("candidates/")}
    capsys.readouterr()
    assert job.verify() == 0
    assert "The candidates were deleted on" in capsys.readouterr().out
    with open_api(service) as api:
        again = api.start_batch(model, f"{job.uri}/manifest.json", "gs://kept/again/", score_threshold="0.9")
        assert "candidates of this job were deleted on" in api.finished(again).error.message
    (job.folder / tombstone.TOMBSTONE_FILE).unlink()
    assert job.verify() == 1 and "is missing" in capsys.readouterr().out
    (job.folder / tombstone.TOMBSTONE_FILE).write_bytes(
        stone.replace(b'"manifest_sha256": "', b'"manifest_sha256": "0')
    )
    assert job.verify() == 1 and "is about another manifest" in capsys.readouterr().out


def test_a_sweep_that_is_killed_leaves_a_folder_that_is_accounted_for(service, model) -> None:
    job = Job(service, model, "killed")
    command = [sys.executable, "-c", SWEEP, str(service.data_dir), str(service.buckets)]
    faults = {**os.environ, "BOXWRIGHT_FAULTS": "retention.before_delete:kill@1"}
    assert subprocess.run(command, env=faults, check=False).returncode == -9
    assert job.candidates() and (job.folder / tombstone.TOMBSTONE_FILE).exists() and job.verify() == 0
    first = (job.folder / tombstone.TOMBSTONE_FILE).read_bytes()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 0)"
    assert job.candidates() == [] and job.verify() == 0
    assert (job.folder / tombstone.TOMBSTONE_FILE).read_bytes() == first, "it says when the deletion began"


def test_what_is_left_of_candidates_must_be_theirs(service, model, capsys) -> None:
    job = Job(service, model, "left")
    name = job.candidates()[0]
    kept = (job.folder / "candidates" / name).read_bytes()
    assert job.sweep(candidates=5) == (1, 0)
    (job.folder / "candidates").mkdir(exist_ok=True)
    (job.folder / "candidates" / name).write_bytes(kept)
    assert job.verify() == 0
    (job.folder / "candidates" / name).write_bytes(kept + b"x")
    assert job.verify() == 1 and "has other bytes" in capsys.readouterr().out


def test_a_manifest_names_nothing_else_that_is_deleted(service, model) -> None:
    job = Job(service, model, "forged")
    victim = service.bucket("kept") / "victim.parquet"
    victim.write_bytes(b"precious")
    manifest = job.folder / "manifest.json"
    name = job.candidates()[0]
    forged = manifest.read_bytes().replace(f"candidates/{name}".encode(), b"candidates/../../../victim.parquet")
    manifest.write_bytes(forged)
    job.sweep(candidates=5)
    assert victim.read_bytes() == b"precious" and job.candidates() == [name]


def test_rows_go_after_their_candidates_and_no_folder_that_others_use(service, model) -> None:
    job = Job(service, model, "rows")
    assert job.sweep(operations=20, candidates=5) == (1, 0) and job.is_known()
    other = Job(service, model, "used")
    other.change(candidates_deleted_us=None)
    assert other.sweep(operations=5, candidates=20)[0] == 0
    assert other.is_known(), "its candidates are kept, and its row says where"
    assert other.sweep(operations=5, candidates=5)[0] == 1
    assert not other.is_known() and not job.is_known()
    gone = Job(service, model, "gone")
    shutil.rmtree(gone.folder)
    assert gone.sweep(operations=5, candidates=5)[0] == 0
    assert not gone.is_known()


def test_without_a_setting_nothing_is_deleted(service, model) -> None:
    job = Job(service, model, "for-ever")
    before = crashes.contents(job.folder)
    assert job.sweep() == (0, 0) and job.is_known() and crashes.contents(job.folder) == before
