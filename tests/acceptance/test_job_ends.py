"""A batch says at its end what became of it: by its state, its response, its numbers, its folder and `boxwright verify`."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from google.cloud import automl_v1
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes.crashes import contents

from boxwright.batch.output.manifest import Manifest

BUCKET = "ends"


@pytest.fixture
def api(service):
    with open_api(service) as opened:
        yield opened


@pytest.fixture
def model(service, tiny_model: TinyModel, request) -> str:
    model_id = f"IOD{6_600_000_000_000_000_000 + abs(hash(request.node.name)) % 10**17}"
    return tiny_model.install(service.data_dir, model_id, display_name="ends")


@pytest.fixture
def images(service, request) -> list[str]:
    """Six images in a folder of the test's own, as addresses."""
    folder = f"{abs(hash(request.node.name)) % 10**12}"
    names = drawn_images.write_images(service.bucket(BUCKET) / folder, 6)
    return [f"gs://{BUCKET}/{folder}/{name}" for name in names]


def _batch(service, api: Api, model: str, rows: list[str], **params: str):
    """Runs a batch; returns the finished operation and its output folder (None: it names none)."""
    prefix = rows[0].split("/")[3]
    csv_uri = drawn_images.write_csv(service.bucket(BUCKET), f"{prefix}-{len(rows)}.csv", rows)
    return _ended(service, api, api.start_batch(model, csv_uri, f"gs://{BUCKET}/out/{prefix}/", **params))


def _ended(service, api: Api, name: str):
    operation = api.finished(name, timeout_s=240)
    output = metadata(operation).batch_predict_details.output_info.gcs_output_directory
    return operation, service.bucket(BUCKET) / output.removeprefix(f"gs://{BUCKET}/") if output else None


def _result(operation) -> dict[str, str]:
    result = automl_v1.BatchPredictResult.pb(automl_v1.BatchPredictResult())
    assert operation.response.Unpack(result)
    return dict(result.metadata)


def _verify(service, folder: str, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    return subprocess.run(
        [sys.executable, "-m", "boxwright.cli", "verify", folder, "--buckets", str(service.buckets)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=inherited,
        cwd=cwd,
    )


# ---- the end ------------------------------------------------------------------------------------------------------------


def test_a_batch_of_which_every_image_failed_fails_and_says_why(service, api, model, images):
    rows = [f"{uri}.gone" for uri in images] + [images[0].replace("0000", "text")]
    (service.buckets / rows[-1].removeprefix("gs://")).write_bytes(b"no image")
    operation, folder = _batch(service, api, model, rows)
    assert operation.error.code == code_pb2.FAILED_PRECONDITION
    assert not operation.HasField("response")
    said = operation.error.message
    assert f"all 7 images failed: 6 NOT_FOUND, 1 INVALID_ARGUMENT, first: {rows[0]} does not exist." in said
    assert folder is not None
    manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
    assert (manifest.state, manifest.images_predicted) == ("FAILED", 0)
    assert manifest.errors_by_code == {"INVALID_ARGUMENT": 1, "NOT_FOUND": 6}
    assert (folder / "errors_1.jsonl").read_text().count("\n") == 7
    verified = _verify(service, str(folder))
    assert (verified.returncode, verified.stdout.count("\n")) == (4, 1), verified
    numbers = api.progress(operation.name)
    assert (numbers["state"], numbers["done"], numbers["failed"], numbers["total"]) == ("FAILED", 7, 7, 7)
    assert [(one["code"], one["images"], one["first"]) for one in map(dict, numbers["failures"])] == [
        ("NOT_FOUND", 6, f"{rows[0]} does not exist."),
        ("INVALID_ARGUMENT", 1, metadata(operation).partial_failures[-1].message),
    ]


def test_what_failed_for_its_images_is_resumed_once_they_are_there(service, api, model, images):
    moved = [service.buckets / uri.removeprefix("gs://") for uri in images]
    for path in moved:
        path.rename(path.with_suffix(".away"))
    first, folder = _batch(service, api, model, images)
    assert first.error.code == code_pb2.FAILED_PRECONDITION
    again, _ = _ended(service, api, api.resume(first.name))
    assert again.error == first.error, "nothing was mended"
    for path in moved[1:]:
        path.with_suffix(".away").rename(path)
    resumed, same_folder = _ended(service, api, api.resume(first.name))
    assert (resumed.error.message, same_folder) == ("", folder)
    assert (_result(resumed)["images"], _result(resumed)["failed"]) == ("6", "1")
    assert _verify(service, str(folder)).returncode == 0
    calm, calm_folder = _batch(service, api, model, images)
    assert not calm.HasField("error")
    assert contents(folder) == contents(calm_folder)


@pytest.mark.parametrize(
    ("bad", "limit", "fails"), [(2, "0.3", True), (2, "0.34", False), (2, "", False), (0, "0", False), (1, "0", True)]
)
def test_the_share_of_failed_images_that_a_batch_may_have(service, api, model, images, bad, limit, fails):
    rows = [*images[bad:], *(f"{uri}.gone" for uri in images[:bad])]
    operation, folder = _batch(service, api, model, rows, **({"image_failure_limit": limit} if limit else {}))
    assert operation.HasField("error") == fails, operation.error
    manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
    assert (manifest.state, manifest.images_predicted) == ("FAILED" if fails else "SUCCEEDED", 6 - bad)
    assert manifest.settings["image_failure_limit"] == float(limit or 1)
    if fails:
        assert f"{bad} of 6 images failed, more than image_failure_limit ({limit}) allows" in operation.error.message
        assert api.progress(operation.name)["image_failure_limit"] == float(limit)


def test_the_limit_is_a_setting_too(service_factory, tiny_model: TinyModel):
    service = service_factory(environment={"BOXWRIGHT_BATCH_IMAGE_FAILURE_LIMIT": "0.1"})
    model = tiny_model.install(service.data_dir)
    rows = [f"gs://{BUCKET}/x/{name}" for name in drawn_images.write_images(service.bucket(BUCKET) / "x", 3)]
    with open_api(service) as api:
        strict, _ = _batch(service, api, model, [*rows, f"gs://{BUCKET}/x/none.jpg"])
        loose, _ = _batch(service, api, model, [*rows, f"gs://{BUCKET}/x/none.jpg"], image_failure_limit="0.9")
    assert "1 of 4 images failed, more than image_failure_limit (0.1) allows" in strict.error.message
    assert not loose.HasField("error")


@pytest.mark.parametrize("failed", [0, 1])
def test_the_response_carries_numbers_that_fit_the_folder(service, api, model, images, failed):
    operation, folder = _batch(service, api, model, images + [f"{images[0]}.gone"] * failed)
    result = _result(operation)
    assert set(result) == {"images", "failed", "elapsed_s", "images_per_s", "manifest", "report"}
    assert (result["images"], result["failed"]) == (str(6 + failed), str(failed))
    assert float(result["elapsed_s"]) > 0
    assert float(result["images_per_s"]) == pytest.approx((6 + failed) / float(result["elapsed_s"]), rel=0.02)
    assert result["manifest"] == f"gs://{BUCKET}/{folder.relative_to(service.bucket(BUCKET))}/manifest.json"
    assert (service.buckets / result["manifest"].removeprefix("gs://")).is_file()


def test_the_numbers_stay_after_the_end(service, api, model, images):
    operation, _ = _batch(service, api, model, images, score_threshold="0.25")
    numbers = api.progress(operation.name)
    assert (numbers["model"], numbers["score_threshold"], numbers["max_bounding_box_count"]) == (model, 0.25, 100)
    assert list(numbers["input_uris"]) == list(
        metadata(operation).batch_predict_details.input_config.gcs_source.input_uris
    )
    assert numbers["elapsed_s"] > 0 and numbers["images_per_s"] > 0 and numbers["end_time"] > numbers["create_time"]
    stages = dict(numbers["stages"])
    assert stages["network"] > 0 and stages["decoding"] > 0
    assert numbers["bottleneck"] in stages


def test_no_total_is_guessed_before_the_list_is_read(service_factory, tiny_model: TinyModel, tmp_path):
    stuck = {"BOXWRIGHT_FAULTS": "plan.before_header:hang", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path)}
    service = service_factory(environment=stuck)
    names = drawn_images.write_images(service.bucket(BUCKET) / "x", 60)
    csv_uri = drawn_images.write_csv(service.bucket(BUCKET), "list.csv", [f"gs://{BUCKET}/x/{name}" for name in names])
    with open_api(service) as api:
        name = api.start_batch(tiny_model.install(service.data_dir), csv_uri, f"gs://{BUCKET}/out/")
        wait_until((tmp_path / "plan.before_header").exists, "the batch to be stuck", timeout_s=240)
        numbers = wait_until(lambda: ("done" in (seen := api.progress(name))) and seen, "numbers", timeout_s=240)
        assert (numbers["done"], numbers["total"], numbers["total_is_exact"]) == (0, None, False)
        api.cancel(name)
        operation, folder = _ended(service, api, name)
        assert operation.error.code == code_pb2.CANCELLED
        assert folder is not None and _verify(service, str(folder)).returncode == 3


def test_params_that_mean_nothing_are_named(service, api, model, images):
    operation, folder = _batch(service, api, model, images, score_treshold="0.9", zebra="1")
    assert not operation.HasField("error")
    expected = [{"key": "score_treshold", "nearest": "score_threshold"}, {"key": "zebra", "nearest": None}]
    assert [dict(param) for param in api.progress(operation.name)["ignored_params"]] == expected
    assert json.loads((folder / "manifest.json").read_bytes())["ignored_params"] == expected
    assert f"event=ignored_params operation={operation.name}" in service.log.read_text()
    destination = {"gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/models/"}, "params": {"quantize": "1"}}
    exported = api.automl.export_model(name=model, output_config=destination).operation.name
    assert not api.finished(exported).HasField("error")
    assert [dict(param) for param in api.progress(exported)["ignored_params"]] == [{"key": "quantize", "nearest": None}]
    assert f"event=ignored_params operation={exported}" in service.log.read_text()


# ---- outputs ------------------------------------------------------------------------------------------------------------


def test_an_output_below_an_object_is_refused_before_the_work(service, api, model, images):
    bucket = service.bucket(BUCKET)
    (bucket / "results.csv").write_bytes(b"a,b")
    csv_uri = drawn_images.write_csv(bucket, "below.csv", images)
    dataset = api.create_dataset("below")
    prefixes = [f"gs://{BUCKET}/results.csv", f"gs://{BUCKET}/results.csv/deep/er/"]
    for prefix in prefixes:
        destination = {"gcs_destination": {"output_uri_prefix": prefix}}
        names = [
            api.start_batch(model, csv_uri, prefix),
            api.automl.export_data(name=dataset, output_config=destination).operation.name,
            api.automl.export_model(name=model, output_config=destination).operation.name,
        ]
        for name in names:
            operation = api.finished(name)
            assert operation.error.code == code_pb2.FAILED_PRECONDITION, operation.error
            assert f"gs://{BUCKET}/results.csv is an object, not a folder" in operation.error.message
            assert str(service.buckets) not in str(operation)
            assert "gcs_output_directory" not in str(metadata(operation))


def test_a_failed_operation_names_no_folder_that_was_never_made(service, api, model, images):
    cases = {"none.csv": None, "empty.csv": b"", "bad.csv": b"nonsense\nmore\n"}
    for name, content in cases.items():
        if content is not None:
            (service.bucket(BUCKET) / name).write_bytes(content)
        operation, folder = _ended(
            service, api, api.start_batch(model, f"gs://{BUCKET}/{name}", f"gs://{BUCKET}/never/")
        )
        assert operation.HasField("error")
        assert folder is None, folder
    assert not (service.bucket(BUCKET) / "never").exists()
    drawn_images.write_csv(service.bucket(BUCKET), "none.csv", images)
    operation = api.finished(api.start_batch(model, f"gs://{BUCKET}/gone.csv", f"gs://{BUCKET}/never/"))
    drawn_images.write_csv(service.bucket(BUCKET), "gone.csv", images)
    resumed, folder = _ended(service, api, api.resume(operation.name))
    assert not resumed.HasField("error"), resumed.error
    assert folder is not None and _verify(service, str(folder)).returncode == 0


# ---- verify -------------------------------------------------------------------------------------------------------------


def test_verify_takes_addresses_and_paths_and_sees_foreign_files(service, api, model, images):
    operation, folder = _batch(service, api, model, [*images, f"{images[0]}.gone"])
    address = metadata(operation).batch_predict_details.output_info.gcs_output_directory
    places = [(address, None), (f"{address}/", None), (str(folder), None), (f"file://{folder}", None)]
    places += [(folder.name, folder.parent), (f"./{folder.name}/", folder.parent), (".", folder)]
    places += [(_result(operation)["manifest"], None), ("manifest.json", folder)]
    for place, cwd in places:
        verified = _verify(service, place, cwd)
        assert (verified.returncode, verified.stderr) == (0, ""), (place, verified)
        assert verified.stdout == f"{place}: every row and every byte is accounted for.\n"
    for name in ("image_object_detection_2.jsonl", "errors_2.jsonl"):
        foreign = folder / name
        foreign.write_bytes(b"")
        for place in (address, str(folder)):
            verified = _verify(service, place)
            assert (verified.returncode, verified.stdout.splitlines()[0]) == (
                1,
                f"{name} is not of this job: the manifest does not name it",
            )
        foreign.unlink()
    (folder / "notes.txt").write_bytes(b"mine")
    assert _verify(service, str(folder)).returncode == 0
    for place in (str(folder / "none"), f"{address}-none", str(folder.parent), "s3://b/x"):
        verified = _verify(service, place)
        assert (verified.returncode, verified.stdout) == (2, ""), verified
        assert "Traceback" not in verified.stderr


def test_a_cancelled_folder_that_is_as_its_manifest_says_has_a_status_of_its_own(
    service_factory, tiny_model: TinyModel, tmp_path
):
    stuck = {"BOXWRIGHT_FAULTS": "sink.before_put:hang@3", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path)}
    service = service_factory(environment={**stuck, "BOXWRIGHT_SHARD_IMAGES": "2", "BOXWRIGHT_CORES": "1"})
    names = drawn_images.write_images(service.bucket(BUCKET) / "x", 12)
    csv_uri = drawn_images.write_csv(service.bucket(BUCKET), "list.csv", [f"gs://{BUCKET}/x/{name}" for name in names])
    with open_api(service) as api:
        name = api.start_batch(tiny_model.install(service.data_dir), csv_uri, f"gs://{BUCKET}/out/")
        wait_until((tmp_path / "sink.before_put").exists, "the batch to be stuck", timeout_s=240)
        api.cancel(name)
        operation, folder = _ended(service, api, name)
        assert operation.error.code == code_pb2.CANCELLED
        verified = _verify(service, str(folder))
        assert (verified.returncode, verified.stdout.count("\n")) == (3, 1), verified
        assert "the job was cancelled" in verified.stdout
        numbers = api.progress(name)
        assert numbers["elapsed_s"] > 0 and "stages" in numbers and numbers["state"] == "CANCELLED"
        (folder / "errors_1.jsonl").write_bytes(b"")
        assert _verify(service, str(folder)).returncode == 1
