"""Data directories that released versions have written: this version migrates, lists, predicts, and ends their work."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import pathlib
import sqlite3
from typing import Any

import pytest
from tests.support.clients.api import PARENT, Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.batch_jobs import in_order
from tests.support.processes import crashes
from tests.support.releases import data_folder
from tests.support.releases.data_folder import BUCKET, Facts
from tests.support.services.command_line import CommandLine

import boxwright
from boxwright.metadata import database, migrations

ARCHIVES = sorted(data_folder.FOLDER.glob("*.zip"))


@dataclasses.dataclass(frozen=True)
class Unpacked:
    """An archive in a folder of its own."""

    folder: pathlib.Path
    facts: Facts

    @property
    def data_dir(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def bucket(self) -> pathlib.Path:
        return self.folder / "buckets" / BUCKET


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def unpacked(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Unpacked:
    """What each release left."""
    folder = tmp_path / "release"
    return Unpacked(folder, data_folder.unpack(request.param, folder))


@pytest.fixture
def migrated(unpacked: Unpacked) -> Unpacked:
    """The same after `boxwright migrate`."""
    CommandLine("").done("migrate", "--data-dir", unpacked.data_dir)
    return unpacked


def _start(service_factory: Any, migrated: Unpacked) -> Any:
    return service_factory(
        environment={**data_folder.SETTINGS, "BOXWRIGHT_CHILD_NICENESS": "0"},
        data_dir=migrated.data_dir,
        buckets=migrated.folder / "buckets",
    )


def test_every_released_version_has_an_archive() -> None:
    text = (pathlib.Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    released = [line.split("[")[1].split("]")[0] for line in text.splitlines() if line.startswith("## [")]
    assert {path.stem for path in ARCHIVES} == {*released} - {"Unreleased"}, "see CONTRIBUTING.md, Make a release"
    assert boxwright.__version__ in released


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_an_archive_is_small(archive: pathlib.Path) -> None:
    assert archive.stat().st_size <= data_folder.MAX_BYTES


def test_a_database_is_migrated_from_its_release_to_the_present(unpacked: Unpacked) -> None:
    db = database.Database(unpacked.data_dir / "metadata.sqlite", prepare=False)
    try:
        assert db.migrate() == (unpacked.facts.schema, migrations.HEAD)
        assert db.migrate() == (migrations.HEAD, migrations.HEAD)
    finally:
        db.close()


def _rows(unpacked: Unpacked) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as SQLite itself reads it."""
    with contextlib.closing(sqlite3.connect(unpacked.data_dir / "metadata.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]
            for table in tables
            if table not in ("alembic_version", "schema_version")
        }


def test_no_row_and_no_value_is_lost(unpacked: Unpacked) -> None:
    before = _rows(unpacked)
    assert all(before[table] for table in ("datasets", "annotation_specs", "examples", "annotations", "models"))
    CommandLine("").done("migrate", "--data-dir", unpacked.data_dir)
    after = _rows(unpacked)
    for table, rows in before.items():
        kept = [{key: row[key] for key in had} for row, had in zip(after[table], rows, strict=True)]
        assert kept == rows, table
    assert {row["state"] for row in after["examples"]} == {"LABELED"}
    assert {row["metadata_member"] for row in after["models"]} == {"image_object_detection_model_metadata"}


def test_its_dataset_takes_more_images_and_is_exported_whole(service_factory: Any, migrated: Unpacked) -> None:
    with open_api(_start(service_factory, migrated)) as api:
        uri = drawn_images.write_csv(migrated.bucket, "bare.csv", [f"TEST,gs://{BUCKET}/more/0000.jpg"])
        drawn_images.write_images(migrated.bucket / "more", 1, first_seed=1000)
        _finished(api, api.start_import(migrated.facts.dataset, uri))
        assert api.automl.get_dataset(name=migrated.facts.dataset).example_count == 7
        target: Any = {"gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/exported/"}}
        _finished(api, api.automl.export_data(name=migrated.facts.dataset, output_config=target).operation.name)
    (file,) = (migrated.bucket / "exported").glob("*/image_object_detection_1.csv")
    rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    assert len({row[1] for row in rows}) == 7
    assert len([row for row in rows if row[2]]) == len(_rows(migrated)["annotations"])


def test_everything_is_listed(service_factory: Any, migrated: Unpacked) -> None:
    facts = migrated.facts
    with open_api(_start(service_factory, migrated)) as api:
        (dataset,) = api.automl.list_datasets(parent=PARENT)
        assert (dataset.name, dataset.display_name) == (facts.dataset, "shapes")
        assert dataset.example_count == 6
        (model,) = api.automl.list_models(parent=PARENT)
        assert model.name == facts.model
        assert len(list(api.automl.list_model_evaluations(parent=facts.model, filter=""))) == 3  # two labels, and all
        listed = {one.name: one for one in api.operations.list_operations(PARENT, "")}
        assert {facts.finished, facts.interrupted} <= listed.keys()
        assert listed[facts.finished].done and not listed[facts.finished].HasField("error")
        output = metadata(listed[facts.finished]).batch_predict_details.output_info.gcs_output_directory
        assert output == f"gs://{BUCKET}/{facts.finished_folder}"


def test_its_model_predicts_at_once(service_factory: Any, migrated: Unpacked) -> None:
    with open_api(_start(service_factory, migrated)) as api:
        payload: Any = {"image": {"image_bytes": drawn_images.draw(0).content}}
        found = api.prediction.predict(name=migrated.facts.model, payload=payload, params={"score_threshold": "0.3"})
    assert len(found.payload) == pytest.approx(migrated.facts.boxes, abs=2)  # processors round differently
    assert {one.display_name for one in found.payload} <= set(drawn_images.LABELS)


def test_its_interrupted_batch_ends_with_what_was_written_and_the_rest(
    service_factory: Any, migrated: Unpacked
) -> None:
    facts = migrated.facts
    folder = migrated.bucket / facts.interrupted_folder
    before = crashes.stats(folder)
    assert set(facts.whole_shards) <= before.keys()
    with open_api(_start(service_factory, migrated)) as api:
        operation = api.finished(facts.interrupted)
    assert not operation.HasField("error")
    after = crashes.stats(folder)
    assert {name: after[name] for name in facts.whole_shards} == {name: before[name] for name in facts.whole_shards}
    assert _ids(folder) == _ids(migrated.bucket / facts.finished_folder)
    assert len(_ids(folder)) == facts.images
    CommandLine("").done(
        "verify", f"gs://{BUCKET}/{facts.interrupted_folder}", "--buckets", migrated.folder / "buckets"
    )


def _ids(folder: pathlib.Path) -> list[str]:
    """What the results of a folder are about, in order."""
    lines = in_order(crashes.contents(folder), "image_object_detection").splitlines()
    return [json.loads(line)["ID"] for line in lines]


def test_its_finished_batch_is_proven_by_its_manifest_and_can_be_run_again(
    service_factory: Any, migrated: Unpacked
) -> None:
    facts = migrated.facts
    buckets = migrated.folder / "buckets"
    CommandLine("").done("verify", f"gs://{BUCKET}/{facts.finished_folder}", "--buckets", buckets)
    with open_api(_start(service_factory, migrated)) as api:
        _finished(api, api.start_batch(facts.model, f"gs://{BUCKET}/many.csv", f"gs://{BUCKET}/again/"))
    again = crashes.result_folder(migrated.bucket, "again")
    assert again is not None
    assert _ids(again) == _ids(migrated.bucket / facts.finished_folder)


def _finished(api: Api, name: str) -> None:
    operation = api.finished(name)
    assert not operation.HasField("error"), operation.error
