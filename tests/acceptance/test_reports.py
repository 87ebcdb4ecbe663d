"""The report at the end of a batch prediction: made of its candidates, listed in its manifest."""

from __future__ import annotations

import csv
import json
import pathlib
import re

import numpy as np
import pytest
from google.cloud import automl_v1
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.command_line import CommandLine

from boxwright import objects
from boxwright.batch.output.manifest import REPORT_FILES, Manifest, examine
from boxwright.images import appearance
from boxwright.inference import baseline

BUCKET = "reports"
ENVIRONMENT = {"BOXWRIGHT_SHARD_IMAGES": "8", "BOXWRIGHT_HOLD_S": "0"}
IMAGES = 30


def _baseline(model: TinyModel, folder: pathlib.Path) -> None:
    """Gives a model figures of test images that no drawn image is like."""
    rng = np.random.default_rng(0)
    labels = len(json.loads((folder / "model.json").read_text())["labels"])
    profile = baseline.Profile(labels)
    count = 200
    looks = np.zeros(count, appearance.RECORD)
    looks["luma"], looks["sharpness"] = rng.uniform(0, 5, count), rng.uniform(25, 30, count)
    values = 5 if model.kind.name == "image_object_detection" else 1
    profile.add(baseline.PlainTable(
        np.full(count, 4000, np.int32), np.full(count, 900, np.int32), looks, np.arange(count + 1, dtype=np.int32),
        np.zeros(count, np.uint16), np.full((values, count), 999_000, np.int32),
    ))  # fmt: skip
    counts = np.ones(20, np.int64)
    baseline.write(folder, profile, baseline.Quality(counts, counts, 20, 0.3))


class Scene:
    """A service with a model, and a list of images, two of which are the same and three of which fail."""

    def __init__(self, service, model: TinyModel, api: Api) -> None:
        self.service, self.api, self.kind = service, api, model.kind.name
        self.model = model.install(service.data_dir)
        self.with_baseline = model.install(service.data_dir, model.kind.prefix + "6" * 18)
        _baseline(model, service.data_dir / "models" / (model.kind.prefix + "6" * 18))
        self.bucket: pathlib.Path = service.bucket(BUCKET)
        names = drawn_images.write_images(self.bucket / "images", IMAGES)
        (self.bucket / "images" / "again.jpg").write_bytes((self.bucket / "images" / names[3]).read_bytes())
        (self.bucket / "images" / "text.jpg").write_bytes(b"no image")
        rows = [f"gs://{BUCKET}/images/{name}" for name in [*names, "again.jpg", "text.jpg"]]
        self.rows = [*rows, f"gs://{BUCKET}/none-1.jpg", f"gs://{BUCKET}/none-2.jpg"]
        self.twins = [f"gs://{BUCKET}/images/{names[3]}", f"gs://{BUCKET}/images/again.jpg"]
        drawn_images.write_csv(self.bucket, "list.csv", self.rows)

    def run(self, source: str, prefix: str, model: str = "", **params: str):
        """The output folder of a batch that succeeds, and its response's metadata."""
        operation = self.api.prediction.batch_predict(
            name=model or self.model,
            input_config={"gcs_source": {"input_uris": [f"gs://{BUCKET}/{source}"]}},
            output_config={"gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/{prefix}/"}},
            params=params,
        ).operation
        finished = self.api.finished(operation.name)
        assert not finished.HasField("error"), finished.error
        result = automl_v1.BatchPredictResult.pb(automl_v1.BatchPredictResult())
        assert finished.response.Unpack(result)
        output = metadata(finished).batch_predict_details.output_info.gcs_output_directory
        folder = self.bucket / output.removeprefix(f"gs://{BUCKET}/")
        return folder, dict(result.metadata)

    def problems(self, folder: pathlib.Path) -> list[str]:
        stores = objects.Stores(self.bucket.parent, self.bucket.parent)
        address = objects.ObjectUri.parse(f"gs://{BUCKET}/{folder.relative_to(self.bucket)}")
        return examine(stores, address).problems


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def scene(request, tmp_path_factory):
    from tests.conftest import _start

    service = _start(tmp_path_factory.mktemp("reports"), {}, ENVIRONMENT)
    with open_api(service) as api:
        yield Scene(service, request.getfixturevalue(request.param), api)
    service.stop()


@pytest.fixture(scope="module")
def reported(scene: Scene):
    """A job's folder with its report, and the metadata of its response."""
    return scene.run("list.csv", "reported", score_threshold="0.3")


def _report(folder: pathlib.Path):
    return json.loads((folder / "report" / "report.json").read_text())


def test_a_report_is_listed_in_the_manifest_named_in_the_response_and_checked_by_verify(scene: Scene, reported):
    folder, told = reported
    said = Manifest.from_json((folder / "manifest.json").read_bytes())
    assert [file.name for file in said.report] == list(REPORT_FILES)
    assert told["report"] == f"gs://{BUCKET}/{folder.relative_to(scene.bucket)}/report/report.html"
    assert scene.problems(folder) == []
    page = folder / "report" / "report.html"
    whole = page.read_bytes()
    page.write_bytes(whole + b" ")
    assert scene.problems(folder) == ["report/report.html has other bytes than the job wrote"]
    page.write_bytes(whole)


def test_the_numbers_are_those_of_the_results(scene: Scene, reported):
    folder, _ = reported
    report = _report(folder)
    assert (report["images"], report["failed"]) == (IMAGES + 1, 3)
    at = report["thresholds"].index(0.3)
    lines = [json.loads(line) for path in folder.glob("image_*_*.jsonl") for line in path.read_text().splitlines()]
    assert sum(label["at"][at] for label in report["labels"]) == sum(len(line["annotations"]) for line in lines)
    assert report["images_with_result"] == sum(bool(line["annotations"]) for line in lines)
    assert [(one["code"], one["images"]) for one in report["failures"]] == [("NOT_FOUND", 2), ("INVALID_ARGUMENT", 1)]


def test_duplicates_and_images_to_label_next_are_lists_of_addresses(scene: Scene, reported):
    folder, _ = reported
    rows = list(csv.reader((folder / "report" / "duplicates.csv").read_text().splitlines()))
    assert [row[2] for row in rows if row[1] == "equal"] == scene.twins
    nexts = [row[0] for row in csv.reader((folder / "report" / "label_next.csv").read_text().splitlines())]
    assert nexts == [one["id"] for one in _report(folder)["label_next"]]
    assert set(nexts) <= set(scene.rows)
    prelabels = list(csv.reader((folder / "report" / "prelabels.csv").read_text().splitlines()))
    assert {row[0] for row in prelabels} <= {"UNASSIGNED"}
    assert list(dict.fromkeys(row[1] for row in prelabels)) == nexts
    if nexts:
        relative = f"{folder.relative_to(scene.bucket)}/report/label_next.csv"
        again, told = scene.run(relative, "next", report="false")
        assert told["images"] == str(len(nexts))
        assert not (again / "report").exists()


def test_the_page_is_one_small_file_that_asks_no_other_place_for_anything(scene: Scene, reported):
    folder, _ = reported
    page = (folder / "report" / "report.html").read_text()
    assert len(page) < 5_000_000
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("<image ") >= IMAGES
    assert "<script src" not in page
    assert "cannot be said" in page


def test_with_figures_of_the_test_images_it_is_said_in_what_a_job_differs(scene: Scene):
    folder, _ = scene.run("list.csv", "drift", model=scene.with_baseline, score_threshold="0.3")
    drift = _report(folder)["drift"]
    levels = {one["name"]: one["level"] for one in drift["features"]}
    assert drift["level"] == "much"
    assert levels["luma"] == levels["size"] == "much"
    assert "brighter" in drift["sentence"]
    assert _report(folder)["quality"]["precision"] is None
    assert _report(folder)["prelabels"]["threshold"] == 0.3


def test_a_job_that_is_made_again_has_a_report_of_the_same_images(scene: Scene, reported):
    folder, _ = reported
    again, told = scene.run(f"{folder.relative_to(scene.bucket)}/manifest.json", "again", score_threshold="0.6")
    assert told["report"].endswith("/report/report.html")
    first, second = _report(folder), _report(again)
    for same in ("images", "failed", "labels", "label_next", "duplicates", "failures"):
        assert first[same] == second[same]
    assert second["images_with_result"] <= first["images_with_result"]
    assert scene.problems(again) == []


@pytest.mark.parametrize("params", [{"report": "false"}, {"candidates": "none"}], ids=["off", "no candidates"])
def test_without_candidates_or_if_it_is_not_wanted_there_is_no_report(scene: Scene, params):
    folder, told = scene.run("list.csv", f"without-{'-'.join(params)}", **params)
    assert not (folder / "report").exists()
    assert "report" not in told
    assert scene.problems(folder) == []


def test_the_command_says_where_the_report_is_and_imports_its_proposals(scene: Scene, reported):
    folder, told = reported
    boxwright = CommandLine(scene.service.url)
    buckets = str(scene.bucket.parent)
    kind = ["--type", "multilabel"] if scene.kind == "image_classification" else []
    boxwright.done("datasets", "create", "next", *kind)
    assert boxwright.done("batch", "report", folder).strip() == str(folder / "report" / "report.html")
    address = told["report"].removesuffix("/report/report.html")
    assert boxwright.done("batch", "report", address).strip() == told["report"]
    imported = boxwright("batch", "report", folder, "--buckets", buckets, "--import", "next", "--wait", "--json")
    assert imported.returncode in (0, 3), imported.stderr
    assert "import_data" in imported.stdout or "importData" in imported.stdout
    assert "has no report/report.html" in boxwright("batch", "report", scene.bucket).stderr
