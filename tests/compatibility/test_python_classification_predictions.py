"""The official Python client predicts with classifiers, in batches and online, over both transports."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions import tiny_classifier as tiny_classifiers
from tests.support.predictions.tiny_model import SPEC_IDS, TinyModel

from boxwright.inference import classification, model_folder

BUCKET = "classified"
LABELS = dict(zip(drawn_images.LABELS, SPEC_IDS, strict=True))
IMAGE = drawn_images.draw(0, boxes=1).content
_numbers = itertools.count(7_100_000_000_000_000_001)


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def model(service, tiny_classifier: TinyModel) -> str:
    """A deployed MULTICLASS model; two nodes, as the official sample asks for."""
    name = tiny_classifier.install(service.data_dir, f"ICN{next(_numbers)}")
    nodes: Any = {"name": name, "image_classification_model_deployment_metadata": {"node_count": 2}}
    with open_api(service) as opened:
        opened.automl.deploy_model(request=nodes).result(timeout=60)
        assert opened.automl.get_model(name=name).image_classification_model_metadata.node_count == 2
    return name


@pytest.fixture(scope="module")
def bucket(service) -> pathlib.Path:
    """A bucket with twelve images, one of them spoilt, and a list of them and of one that is not there."""
    folder: pathlib.Path = service.bucket(BUCKET)
    rows = []
    for number in range(12):
        (folder / f"{number:02d}.jpg").write_bytes(drawn_images.draw(number, boxes=1).content)
        rows.append(f"gs://{BUCKET}/{number:02d}.jpg")
    (folder / "03.jpg").write_bytes(b"no image")
    rows.insert(7, f"gs://{BUCKET}/none.jpg")
    drawn_images.write_csv(folder, "list.csv", rows)
    return folder


def _folder(bucket: pathlib.Path, operation: Any) -> pathlib.Path:
    directory = metadata(operation).batch_predict_details.output_info.gcs_output_directory
    return bucket / directory.removeprefix(f"gs://{BUCKET}/")


def _batch(api: Api, bucket: pathlib.Path, model: str, prefix: str, **params: str) -> tuple[Any, pathlib.Path]:
    name = api.start_batch(model, f"gs://{BUCKET}/list.csv", f"gs://{BUCKET}/{prefix}/", **params)
    operation = api.finished(name)
    assert not operation.HasField("error"), operation.error
    return operation, _folder(bucket, operation)


def _lines(folder: pathlib.Path, stem: str = "image_classification") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{stem}_1.jsonl").read_text().splitlines()]


def _predict(api: Api, model: str, image: bytes = IMAGE, **params: str) -> list[automl_v1.AnnotationPayload]:
    payload: Any = {"image": {"image_bytes": image}}
    return list(api.prediction.predict(name=model, payload=payload, params=params).payload)


# ---- batch prediction -------------------------------------------------------------------------------------------------


def test_a_batch_writes_one_line_an_image_in_the_lists_order(api, service, model, bucket):
    operation, folder = _batch(api, bucket, model, "out", score_threshold="0.0")
    assert re.fullmatch(r"prediction-tiny-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", folder.name)
    names = ["candidates", "errors_1.jsonl", "image_classification_1.jsonl", "manifest.json", "report"]
    assert sorted(path.name for path in folder.iterdir()) == names
    expected = [f"gs://{BUCKET}/{number:02d}.jpg" for number in range(12) if number != 3]
    lines = _lines(folder)
    assert [line["ID"] for line in lines] == expected and all(list(line) == ["ID", "annotations"] for line in lines)
    for line in lines:
        for one in line["annotations"]:
            assert list(one) == ["annotation_spec_id", "display_name", "classification"]
            assert one["annotation_spec_id"] == LABELS[one["display_name"]] and list(one["classification"]) == ["score"]
        scores = [one["classification"]["score"] for one in line["annotations"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1.0, abs=1e-5) and len(scores) == len(LABELS)
    assert [line["ID"].rpartition("/")[2] for line in _lines(folder, "errors")] == ["03.jpg", "none.jpg"]
    seen = metadata(operation)
    assert seen.progress_percent == 100 and [one.code for one in seen.partial_failures] == [3, 5]
    result = automl_v1.BatchPredictResult.deserialize(operation.response.value)
    directory = seen.batch_predict_details.output_info.gcs_output_directory
    assert (result.metadata["images"], result.metadata["failed"]) == ("13", "2")
    assert result.metadata["manifest"] == f"{directory}/manifest.json"
    command = [sys.executable, "-m", "boxwright.cli", "verify", directory, "--buckets", str(service.buckets)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_progress_and_manifest_say_what_decides_the_lines_and_know_no_boxes(api, model, bucket):
    operation, folder = _batch(api, bucket, model, "known", score_threshold="0.6", max_bounding_box_count="many")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "max_bounding_box_count" not in manifest["settings"] and manifest["settings"]["score_threshold"] == 0.6
    assert manifest["ignored_params"] == [{"key": "max_bounding_box_count", "nearest": None}]
    assert [file["name"] for file in manifest["shards"]] == ["image_classification_1.jsonl"]
    progress = api.progress(operation.name)
    assert "max_bounding_box_count" not in progress and progress["score_threshold"] == 0.6
    assert (progress["done"], progress["failed"], progress["errors_files"]) == (13, 2, 1)


def test_the_threshold_keeps_what_reaches_it_and_an_image_may_have_no_label(api, model, bucket):
    _, everything = _batch(api, bucket, model, "all", score_threshold="0")
    for threshold in (0.5, 0.7):
        params = {} if threshold == 0.5 else {"score_threshold": str(threshold)}
        _, folder = _batch(api, bucket, model, f"from-{threshold}", **params)
        kept = [
            {**line, "annotations": [one for one in line["annotations"] if one["classification"]["score"] >= threshold]}
            for line in _lines(everything)
        ]
        assert _lines(folder) == kept
    assert any(not line["annotations"] for line in _lines(folder)) and any(
        line["annotations"] for line in _lines(folder)
    )


def test_too_many_failed_images_fail_the_job_which_can_be_resumed(api, service, model, bucket):
    name = api.start_batch(
        model, f"gs://{BUCKET}/list.csv", f"gs://{BUCKET}/limited-{next(_numbers)}/", image_failure_limit="0.1"
    )
    failed = api.finished(name)
    assert failed.error.code == 9 and "2 of 13 images failed" in failed.error.message
    folder = _folder(bucket, failed)
    before = (folder / "image_classification_1.jsonl").read_bytes()
    whole = bucket / "03.jpg"
    try:
        whole.write_bytes(drawn_images.draw(3, boxes=1).content)
        resumed = api.finished(api.resume(name))
    finally:
        whole.write_bytes(b"no image")
    assert not resumed.HasField("error"), resumed.error
    after = (folder / "image_classification_1.jsonl").read_bytes()
    assert _folder(bucket, resumed) == folder and set(before.splitlines()) < set(after.splitlines())
    assert [line["ID"] for line in _lines(folder)][3] == f"gs://{BUCKET}/03.jpg"
    assert [line["ID"] for line in _lines(folder, "errors")] == [f"gs://{BUCKET}/none.jpg"]


# ---- online prediction ------------------------------------------------------------------------------------------------


def test_an_online_prediction_names_labels_with_scores_best_first(api, model):
    found = _predict(api, model, score_threshold="0.0")
    assert [one.display_name for one in found] == ["red", "blue"]
    assert all(one.annotation_spec_id == LABELS[one.display_name] for one in found)
    assert all(one._pb.WhichOneof("detail") == "classification" for one in found)
    scores = [one.classification.score for one in found]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1.0, abs=1e-5)
    assert _predict(api, model) == found[:1]
    assert _predict(api, model, score_threshold="0.99999") == []
    payload: Any = {"image": {"image_bytes": IMAGE}}
    answer = api.prediction.predict(name=model, payload=payload, params={"max_bounding_box_count": "1"})
    assert dict(answer.metadata) == {"ignored_params": "max_bounding_box_count"}


def test_online_and_batch_prediction_agree(api, model, bucket):
    _, folder = _batch(api, bucket, model, "agree", score_threshold="0.2")
    for line in _lines(folder):
        image = (bucket / line["ID"].rpartition("/")[2]).read_bytes()
        online = _predict(api, model, image, score_threshold="0.2")
        batch = [(one["display_name"], one["classification"]["score"]) for one in line["annotations"]]
        assert [one.display_name for one in online] == [name for name, _ in batch]
        assert [one.classification.score for one in online] == pytest.approx([score for _, score in batch])


def test_a_model_that_is_not_deployed_any_more_predicts_in_batches_only(service, api, tiny_classifier, bucket):
    name = tiny_classifier.install(service.data_dir, f"ICN{next(_numbers)}", display_name="shortly")
    wrong: Any = {"name": name, "image_object_detection_model_deployment_metadata": {"node_count": 1}}
    with pytest.raises(exceptions.BadRequest, match="image_classification_model_deployment_metadata"):
        api.automl.deploy_model(request=wrong)
    api.deploy(name)
    assert _predict(api, name)
    api.automl.undeploy_model(name=name).result(timeout=60)
    with pytest.raises(exceptions.BadRequest, match="is not deployed"):
        _predict(api, name)
    _, folder = _batch(api, bucket, name, f"undeployed-{next(_numbers)}")
    assert len(_lines(folder)) == 11


@pytest.mark.parametrize("model_format", ["onnx", "openvino"])
def test_an_exported_classifier_predicts_what_the_service_does(api, model, bucket, model_format):
    prefix = f"export-{next(_numbers)}"
    config: Any = {
        "model_format": model_format,
        "gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/{prefix}/"},
    }
    operation = api.finished(api.automl.export_model(name=model, output_config=config).operation.name)
    assert not operation.HasField("error"), operation.error
    (folder,) = (bucket / prefix / "model-export" / "icn").iterdir()
    assert folder.name.startswith(f"{model_format}-tiny-")
    assert (folder / "dict.txt").read_text().split() == list(drawn_images.LABELS)
    if model_format == "openvino":
        assert {"model.xml", "model.bin"} <= {path.name for path in folder.iterdir()}
        return
    scores = classification.Classifier.open(folder, streams=1).predict(IMAGE)
    online = _predict(api, model, score_threshold="0")
    assert scores.scores.tolist() == pytest.approx([one.classification.score for one in online], abs=1e-6)


# ---- several labels an image --------------------------------------------------------------------------------------------


def test_with_several_labels_an_image_each_has_a_score_of_its_own(service, api, bucket):
    several = tiny_classifiers.make(model_folder.MULTILABEL)
    name = several.install(service.data_dir, f"ICN{next(_numbers)}", display_name="several")
    _, folder = _batch(api, bucket, name, f"several-{next(_numbers)}", score_threshold="0")
    here = classification.Classifier.open(several.folder, streams=1)
    for line in _lines(folder):
        expected = here.predict((bucket / line["ID"].rpartition("/")[2]).read_bytes())
        found = [(one["display_name"], one["classification"]["score"]) for one in line["annotations"]]
        labels = [here.labels[index].display_name for index in expected.label_indices]
        assert found == list(zip(labels, (round(float(score), 6) for score in expected.scores), strict=True))
