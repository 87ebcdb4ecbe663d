"""A model's evaluation image by image and at any thresholds, and suggestions for an example, over HTTP and gRPC."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.clients import case_world
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import EVALUATED_IMAGES, TinyModel

from boxwright import curation_messages as pb
from boxwright.inference import evaluated_examples
from boxwright.metadata import database, models
from boxwright.surface import methods

_numbers = itertools.count(6_000_000_000_000_000_001)
WRONG = ("FALSE_POSITIVE", "FALSE_NEGATIVE", "CONFUSED")


@pytest.fixture(scope="module")
def http(service: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}/v1/", timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def dataset(service: Any) -> str:
    """Ten images; the first six are those that the tiny detector was evaluated with."""
    csv_uri = drawn_images.write_dataset(service.bucket("evaluated"), 10, size_hw=(48, 64))
    with open_api(service) as api:
        name = api.create_dataset("evaluated")
        assert not api.finished(api.start_import(name, csv_uri)).HasField("error")
    return str(name)


def _install(service: Any, model: TinyModel, dataset: str) -> str:
    model_id = f"{model.kind.prefix}{next(_numbers)}"
    name = model.install(service.data_dir, model_id)
    with database.Database(service.data_dir / "metadata.sqlite").write() as connection:
        models.update(connection, model_id, {"dataset_id": dataset.rpartition("/")[2]})
    return name


@pytest.fixture(scope="module")
def detector(service: Any, tiny_model: TinyModel, dataset: str) -> str:
    return _install(service, tiny_model, dataset)


@pytest.fixture(scope="module")
def classifier(service: Any, tiny_classifier: TinyModel, dataset: str) -> str:
    return _install(service, tiny_classifier, dataset)


def _get(http: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _refused(http: httpx.Client, path: str, **query: Any) -> str:
    answer = http.get(path, params=query)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["message"])


def _grpc(world: case_world.World, rpc: str, request: Any) -> Any:
    row = next(row for row in methods.TABLE if row.rpc == rpc)
    call = world.channel.unary_unary(
        row.full_name, request_serializer=type(request).serialize, response_deserializer=row.response.deserialize
    )
    return call(request, timeout=60)


def _rates(summary: dict[str, Any]) -> tuple[float, float]:
    """Precision and recall of all labels together."""
    right, wrong, missed = (
        sum(one.get(f"{name}Count", 0) for one in summary["labelCounts"])
        for name in ("truePositive", "falsePositive", "falseNegative")
    )
    return right / max(1, right + wrong), right / max(1, right + missed)


def test_the_summary_is_the_evaluation_at_every_threshold_of_its_grid(http: httpx.Client, detector: str) -> None:
    evaluations = _get(http, f"{detector}/modelEvaluations", pageSize=100)["modelEvaluation"]
    compared = 0
    for one in evaluations:
        entries = one["imageObjectDetectionEvaluationMetrics"]["boundingBoxMetricsEntries"]
        for entry in entries[2::7]:
            for at in entry["confidenceMetricsEntries"][::4]:
                summary = _get(
                    http,
                    f"{detector}:summarizeEvaluation",
                    iouThreshold=entry["iouThreshold"],
                    scoreThreshold=at["confidenceThreshold"],
                )
                found = _rates(summary)
                if one.get("displayName"):
                    (mine,) = [row for row in summary["labelCounts"] if row["displayName"] == one["displayName"]]
                    found = mine.get("precision", 0), mine.get("recall", 0)
                assert found == pytest.approx((at.get("precision", 0), at.get("recall", 0)), abs=1e-6)
                compared += 1
    assert compared == len(evaluations) * 3 * 6


def test_the_rows_of_the_matrix_are_the_boxes_and_its_cells_the_images(
    world: case_world.World, http: httpx.Client, detector: str, dataset: str
) -> None:
    thresholds = {"iouThreshold": 0.1, "scoreThreshold": 0.7}
    summary = _get(http, f"{detector}:summarizeEvaluation", **thresholds)
    size = len(summary["labels"]) + 1
    matrix = [summary["confusion"][row * size : (row + 1) * size] for row in range(size)]
    drawn = [box[0] for seed in range(EVALUATED_IMAGES) for box in drawn_images.draw(seed).boxes]
    assert [sum(row) for row in matrix[:-1]] == [drawn.count(label) for label in summary["labels"]]
    listed = _get(http, f"{detector}/evaluatedExamples", **thresholds)["evaluatedExamples"]
    assert len(listed) == EVALUATED_IMAGES
    counted: dict[tuple[str, str], int] = {}
    for image in listed:
        annotations = image["annotations"]
        for index, one in enumerate(annotations):
            label, partner = one["annotation"]["displayName"], one.get("partner", 0)
            if partner >= 0:
                other = annotations[partner]
                assert other.get("partner", 0) == index
                assert (other["outcome"], other["iou"]) == (one["outcome"], one["iou"])
                assert one["iou"] >= 0.1
            if one.get("isTruth"):
                found = annotations[partner]["annotation"]["displayName"] if partner >= 0 else ""
                counted[label, found] = counted.get((label, found), 0) + 1
            else:
                assert one["annotation"]["imageObjectDetection"]["score"] >= 0.7
                if partner < 0:
                    counted["", label] = counted.get(("", label), 0) + 1
    names = [*summary["labels"], ""]
    cells = {(names[row], names[column]): matrix[row][column] for row in range(size) for column in range(size)}
    assert {key: count for key, count in cells.items() if count} == counted
    for (true, predicted), count in cells.items():
        terms = [f'true_label="{true}"' if true else "NOT true_label:*"]
        terms += [f'predicted_label="{predicted}"' if predicted else "predicted_label:none"]
        one = _get(http, f"{detector}/evaluatedExamples", **thresholds, filter=" AND ".join(terms))
        assert (one.get("totalSize", 0) > 0) == (count > 0), (true, predicted)
    examples = {one["name"] for one in _get(http, f"{dataset}/examples")["examples"]}
    assert {one["example"] for one in listed} < examples
    assert [one.get("loss", 0) for one in listed] == sorted((one.get("loss", 0) for one in listed), reverse=True)
    over_grpc = _grpc(
        world,
        "ListEvaluatedExamples",
        pb.ListEvaluatedExamplesRequest(parent=detector, iou_threshold=0.1, score_threshold=0.7),
    )
    assert [one.uri for one in over_grpc.evaluated_examples] == [one["uri"] for one in listed]
    summed = _grpc(world, "SummarizeEvaluation", pb.SummarizeEvaluationRequest(name=detector, iou_threshold=0.1))
    assert summed.score_threshold > 0  # the best one


def test_images_are_filtered_ordered_and_paged(http: httpx.Client, detector: str) -> None:
    path = f"{detector}/evaluatedExamples"
    everything = [one["uri"] for one in _get(http, path, orderBy="uri")["evaluatedExamples"]]
    assert everything == sorted(everything)
    found, token = [], ""
    while True:
        page = _get(http, path, orderBy="uri", pageSize=4, pageToken=token)
        found += [one["uri"] for one in page["evaluatedExamples"]]
        assert page["totalSize"] == EVALUATED_IMAGES
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == everything
    skipped = _get(http, path, orderBy="uri desc", skip=1, pageSize=2)["evaluatedExamples"]
    assert [one["uri"] for one in skipped] == everything[::-1][1:3]
    assert _get(http, path, filter='uri="0003"')["totalSize"] == 1
    assert "totalSize" not in _get(http, path, filter='true_label="no such \\" label"')
    wrong = _get(http, path, filter="NOT outcome=TRUE_POSITIVE")["evaluatedExamples"]
    assert all(any(each["outcome"] in WRONG for each in one["annotations"]) for one in wrong)
    assert "this list filters by: outcome, predicted_label, true_label, uri" in _refused(http, path, filter="odd=1")
    assert "outcome is one of" in _refused(http, path, filter="outcome=RIGHT")
    assert "is no order of this list" in _refused(http, path, orderBy="score")
    assert "is not from 0.05 to 1" in _refused(http, path, iouThreshold="0.01")
    assert "is not from 0 to 1" in _refused(http, f"{detector}:summarizeEvaluation", scoreThreshold="NaN")
    assert "-1 is negative" in _refused(http, path, skip=-1)
    first = _get(http, path, pageSize=1)["nextPageToken"]
    assert "another parent or filter" in _refused(http, path, pageToken=first, iouThreshold="0.6")


def test_labels_without_boxes_are_counted_too(http: httpx.Client, classifier: str) -> None:
    evaluations = _get(http, f"{classifier}/modelEvaluations")["modelEvaluation"]
    (whole,) = [one for one in evaluations if not one.get("displayName")]
    for entry in whole["classificationEvaluationMetrics"]["confidenceMetricsEntry"][1:]:
        summary = _get(http, f"{classifier}:summarizeEvaluation", scoreThreshold=entry["confidenceThreshold"])
        assert _rates(summary) == pytest.approx((entry.get("precision", 0), entry.get("recall", 0)), abs=1e-6)
    listed = _get(http, f"{classifier}/evaluatedExamples", scoreThreshold=0.3)["evaluatedExamples"]
    assert len(listed) == 6
    assert all("classification" in one["annotation"] for image in listed for one in image["annotations"])
    assert not any("example" in image for image in listed)  # its images are not in this dataset


def test_a_model_that_has_kept_nothing_says_why(service: Any, http: httpx.Client, tiny_model: TinyModel) -> None:
    model_id = f"IOD{next(_numbers)}"
    name = tiny_model.install(service.data_dir, model_id)
    (service.data_dir / "models" / model_id / evaluated_examples.FILE).unlink()
    summary = _get(http, f"{name}:summarizeEvaluation")
    assert "Nothing is kept of single images" in summary["reason"]
    assert "labels" not in summary
    assert _get(http, f"{name}/evaluatedExamples") == {}


def test_suggestions_are_what_a_prediction_of_the_original_finds(
    world: case_world.World, service: Any, http: httpx.Client, dataset: str, tiny_model: TinyModel
) -> None:
    example = _get(http, f"{dataset}/examples", filter='uri="/0000."')["examples"][0]["name"]
    resting, deployed = _install(service, tiny_model, dataset), _install(service, tiny_model, dataset)
    with open_api(service) as api:
        api.deploy(deployed)
        payload = {"image": {"image_bytes": drawn_images.draw(0).content}}
        params = {"score_threshold": "0.2"}
        predicted = api.prediction.predict(name=deployed, payload=payload, params=params).payload
    specs = {
        one["displayName"]: one["annotationSpecId"]
        for image in _get(http, f"{dataset}/examples")["examples"]
        for one in image["annotations"]
    }
    for model in (resting, deployed, resting):
        answer = http.post(f"{example}:suggest", json={"model": model, "scoreThreshold": 0.2})
        assert answer.status_code == 200, answer.text
        found = answer.json()["annotations"]
        assert [one["displayName"] for one in found] == [one.display_name for one in predicted]
        assert [one["imageObjectDetection"]["score"] for one in found] == pytest.approx(
            [one.image_object_detection.score for one in predicted], abs=1e-6
        )
        assert all(one["annotationSpecId"] == specs[one["displayName"]] for one in found)
    boxes = [one.image_object_detection.bounding_box for one in predicted]
    over_grpc = _grpc(
        world, "SuggestAnnotations", pb.SuggestAnnotationsRequest(name=example, model=resting, score_threshold=0.2)
    )
    assert [one.image_object_detection.bounding_box for one in over_grpc.annotations] == boxes
    assert _get(http, deployed)["deploymentState"] == "DEPLOYED"
    assert _get(http, resting).get("deploymentState") == "UNDEPLOYED"


def test_suggestions_of_labels_that_the_dataset_does_not_have_are_named(
    service: Any, http: httpx.Client, tiny_model: TinyModel, dataset: str, classifier: str
) -> None:
    bucket = service.bucket("others")
    (bucket / "one.jpg").write_bytes(drawn_images.draw(0).content)
    csv_uri = drawn_images.write_csv(bucket, "list.csv", ["TRAIN,gs://others/one.jpg,red,0.1,0.1,,,0.5,0.5,,"])
    with open_api(service) as api:
        other = api.create_dataset("others")
        assert not api.finished(api.start_import(other, csv_uri)).HasField("error")
    (example,) = _get(http, f"{other}/examples")["examples"]
    model = _install(service, tiny_model, dataset)
    found = http.post(f"{example['name']}:suggest", json={"model": model, "scoreThreshold": 0.01}).json()
    assert {one["displayName"] for one in found["annotations"]} == {"red"}
    assert found["unknownLabels"] == ["blue"]
    wrong_kind = http.post(f"{example['name']}:suggest", json={"model": classifier})
    assert "is not of the dataset's kind" in wrong_kind.json()["error"]["message"]
    (bucket / "one.jpg").write_bytes(drawn_images.draw(1).content)
    replaced = http.post(f"{example['name']}:suggest", json={"model": model})
    assert (replaced.status_code, replaced.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert "its bytes are not those that are in the dataset" in replaced.json()["error"]["message"]
    gone = http.post(f"{other}/examples/{'0' * 64}:suggest", json={"model": model})
    assert gone.status_code == 404
