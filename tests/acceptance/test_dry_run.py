"""A dry run says what a batch prediction would read, take and write, and writes nothing but that."""

from __future__ import annotations

import json
import pathlib
import re
import tarfile
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.command_line import CommandLine

BUCKET = "dry"
MODEL_ID = "IOD6700000000000000001"


@pytest.fixture(scope="module")
def bucket(service, tiny_model: TinyModel) -> pathlib.Path:
    tiny_model.install(service.data_dir, MODEL_ID)
    folder = service.bucket(BUCKET)
    drawn_images.write_images(folder / "images", 12)
    return folder


@pytest.fixture(params=["grpc", "rest"])
def api(service, bucket, request):
    with open_api(service, request.param) as opened:
        yield opened


def _dry_run(api: Api, source: str, prefix: str, **params: str):
    model = f"projects/demo/locations/us-central1/models/{MODEL_ID}"
    return api.finished(api.start_batch(model, source, prefix, validate_only="true", **params))


def _told(operation) -> dict[str, str]:
    assert not operation.HasField("error"), operation.error
    result = automl_v1.BatchPredictResult.pb(automl_v1.BatchPredictResult())
    assert operation.response.Unpack(result)
    return dict(result.metadata)


def _estimate(bucket: pathlib.Path, prefix: str) -> dict[str, Any]:
    return json.loads((bucket / prefix / "estimate.json").read_text())


def _list(bucket: pathlib.Path, name: str, *more: str) -> str:
    rows = [f"gs://{BUCKET}/images/{path.name}" for path in sorted((bucket / "images").iterdir())]
    return drawn_images.write_csv(bucket, name, [*rows, *more])


def test_it_counts_what_the_job_then_finds_and_makes_no_folder(api, bucket):
    uri = _list(bucket, "counted.csv", f"gs://{BUCKET}/images/0000.jpg", f"gs://{BUCKET}/none.jpg", "# a comment")
    operation = _dry_run(api, uri, f"gs://{BUCKET}/counted/")
    told = _told(operation)
    assert {key: told[key] for key in ("validate_only", "rows", "images", "duplicates", "unusable", "missing")} == {
        "validate_only": "true", "rows": "15", "images": "14", "duplicates": "1", "unusable": "1", "missing": "1"
    }  # fmt: skip
    assert told["estimate"] == f"gs://{BUCKET}/counted/estimate.json"
    assert [path.name for path in (bucket / "counted").iterdir()] == ["estimate.json"]
    assert not metadata(operation).batch_predict_details.output_info.gcs_output_directory
    assert ["Lists have no comments" in one.message for one in metadata(operation).partial_failures] == [True]
    assert api.progress(operation.name)["validate_only"] is True
    model = f"projects/demo/locations/us-central1/models/{MODEL_ID}"
    job = _told(api.finished(api.start_batch(model, uri, f"gs://{BUCKET}/counted-job/")))
    assert (job["images"], job["failed"]) == (told["images"], told["sample_failed"])


def test_its_file_has_the_numbers_by_part(api, bucket):
    uri = _list(bucket, "parts.csv", f"gs://{BUCKET}/none.jpg")
    _told(_dry_run(api, uri, f"gs://{BUCKET}/parts/", score_threshold="0.0"))
    found = _estimate(bucket, "parts")
    assert found["objects"] | {"bytes": 0} == {
        "method": "all", "looked_at": 13, "missing": 1, "missing_share": 0.076923, "missing_share_low": 0.076923,
        "missing_share_high": 0.076923, "first_missing": [f"gs://{BUCKET}/none.jpg does not exist."], "trouble": {},
        "bytes": 0,
    }  # fmt: skip
    assert found["objects"]["bytes"] == sum(path.stat().st_size for path in (bucket / "images").iterdir())
    sample, answer = found["sample"], found["answer"]
    assert (sample["images"], sample["failed"]) == (13, 1)
    assert sample["results_per_image"] > 0
    assert sample["ms_per_image"]["network"] > 0
    assert 0 < answer["seconds_low"] <= answer["seconds"] <= answer["seconds_high"]
    assert answer["jsonl_bytes"] > 0
    assert answer["candidates_bytes"] > 0
    assert answer["advice"].endswith(".")
    assert "cost" not in answer, "no price is set"


def test_a_classifier_is_estimated_as_well(service, bucket, tiny_classifier: TinyModel):
    model = tiny_classifier.install(service.data_dir, "ICN6700000000000000001")
    uri = _list(bucket, "classified.csv")
    with open_api(service) as api:
        name = api.start_batch(model, uri, f"gs://{BUCKET}/classified/", validate_only="true", score_threshold="0.0")
        told = _told(api.finished(name))
    assert (told["images"], told["sample_failed"]) == ("12", "0")
    assert float(told["results_per_image"]) == len(drawn_images.LABELS)


def test_a_folder_an_archive_and_results_below_the_folder(service, bucket):
    folder = bucket / "shoot"
    drawn_images.write_images(folder, 5)
    (folder / "notes.txt").write_text("hello")
    results = folder / "prediction-x-2026-11-28T09:00:00.000Z"
    results.mkdir()
    (results / "manifest.json").write_text("{}")
    with tarfile.open(bucket / "shoot.tar", "w") as archive:
        for path in sorted(folder.glob("*.jpg")):
            archive.add(path, path.name)
    with open_api(service) as api:
        _told(_dry_run(api, f"gs://{BUCKET}/shoot/", f"gs://{BUCKET}/folder/"))
        _told(_dry_run(api, f"gs://{BUCKET}/shoot.tar", f"gs://{BUCKET}/archive/"))
    of_folder, of_archive = _estimate(bucket, "folder"), _estimate(bucket, "archive")
    assert of_folder["lists"]["suffixes"] == of_archive["lists"]["suffixes"] == {".jpg": 5}
    assert of_folder["objects"]["bytes"] == of_archive["objects"]["bytes"] > 0
    assert (of_folder["sample"]["images"], of_archive["sample"]["images"]) == (5, 5)
    assert (of_folder["sample"]["failed"], of_archive["sample"]["failed"]) == (0, 0)
    assert any("holds results of batch predictions: 1 file in their folders" in one for one in of_folder["warnings"])


def test_a_job_that_would_fail_says_so(api, bucket):
    uri = drawn_images.write_csv(bucket, "gone.csv", [f"gs://{BUCKET}/gone/{number}.jpg" for number in range(3)])
    told = _told(_dry_run(api, uri, f"gs://{BUCKET}/gone-out/"))
    assert told["warnings"].startswith(
        "The job would fail: of the sample, no image could be predicted; the first: gs://"
    )


def test_what_it_cannot_be_asked(api, bucket):
    with pytest.raises(exceptions.BadRequest, match="neither true"):
        model = f"projects/demo/locations/us-central1/models/{MODEL_ID}"
        api.start_batch(model, f"gs://{BUCKET}/x.csv", f"gs://{BUCKET}/", validate_only="maybe")
    with pytest.raises(exceptions.BadRequest, match="have no dry run; leave it out"):
        _dry_run(api, f"gs://{BUCKET}/f/prediction-x/manifest.json", f"gs://{BUCKET}/")


def test_neither_a_dry_run_nor_a_bad_job_waits_behind_a_long_job(service_factory, tiny_model: TinyModel):
    hung = f"gs://{BUCKET}/images/0003.jpg"
    service = service_factory(
        environment={
            "BOXWRIGHT_BATCH_JOBS": "1",
            "BOXWRIGHT_BATCH_SLICE_S": "86400",
            "BOXWRIGHT_IMAGE_TIMEOUT_S": "3600",
            "BOXWRIGHT_FAULTS": f"image {hung}:hang",
            "BOXWRIGHT_STORAGE_LOOK_S": "60",
            "BOXWRIGHT_PRICE_PER_CORE_HOUR": "0.5",
        }
    )
    bucket = service.bucket(BUCKET)
    drawn_images.write_images(bucket / "images", 5)
    model = tiny_model.install(service.data_dir, MODEL_ID)
    long, quick = _list(bucket, "long.csv"), drawn_images.write_csv(bucket, "quick.csv", [hung.replace("0003", "0001")])
    with open_api(service) as api:
        held = api.start_batch(model, long, f"gs://{BUCKET}/out/")
        wait_until(lambda: api.progress(held)["state"] == "RUNNING", "the long job")
        bad = api.start_batch(model, f"gs://{BUCKET}/none.csv", f"gs://{BUCKET}/out/")
        assert api.get(bad).error.code == code_pb2.NOT_FOUND, "it was answered as failed, without a lane"
        told = _told(_dry_run(api, quick, f"gs://{BUCKET}/quick/"))
        assert told["images"] == "1"
        assert float(told["cost"]) >= 0
        assert api.progress(held)["state"] == "RUNNING"
        dry = api.start_batch(model, long, f"gs://{BUCKET}/dry/", validate_only="true")  # the fault hangs it, too
        wait_until(lambda: api.progress(dry).get("stage") == "predicting a sample", "its sample")
        api.cancel(dry)
        assert api.finished(dry).error.code == code_pb2.CANCELLED
        assert not (bucket / "dry").exists()
        with pytest.raises(grpc.RpcError, match="is a dry run, which is not resumed; make it again"):
            api.resume(dry)
        api.cancel(held)
        api.finished(held)


def test_a_dry_run_is_printed_and_described(service, bucket):
    (bucket / "printed.csv").write_text(f"gs://{BUCKET}/images/0000.jpg\ngs://{BUCKET}/never.jpg\n")
    done = CommandLine(service.url)(
        "batch", "predict", MODEL_ID, f"gs://{BUCKET}/printed.csv", f"gs://{BUCKET}/printed/", "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"\d+ images, .* on \d+ cores?", done.stdout), done.stdout
    assert re.search(r"^missing: +1 of \d+ that were looked for", done.stdout, re.MULTILINE), done.stdout
    assert f"gs://{BUCKET}/never.jpg does not exist" in done.stdout
    assert [path.name for path in (bucket / "printed").iterdir()] == ["estimate.json"]
