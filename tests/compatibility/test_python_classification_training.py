"""Image classification through the official client: from a CSV to an evaluated model, with trainings of seconds."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from tests.support.clients.api import PARENT, Api, open_api
from tests.support.images import drawn_images

from boxwright.inference import classification

MULTICLASS = automl_v1.ClassificationType.MULTICLASS
MULTILABEL = automl_v1.ClassificationType.MULTILABEL


@pytest.fixture
def service(service_factory):
    return service_factory(train_minutes_max=0.4, environment={"BOXWRIGHT_HOLD_S": "0"})


def imported(api: Api, bucket: pathlib.Path, kind: Any, count: int = 40) -> str:
    """A dataset of images with one box, or two, each; returns its name."""
    rows = []
    for number in range(count):
        drawing = drawn_images.draw(number, boxes=1 if kind == MULTICLASS else 1 + number % 3 % 2)
        path = bucket / f"{number:04d}.jpg"
        path.write_bytes(drawing.content)
        labels = sorted({box[0] for box in drawing.boxes})
        ml_use = {8: "VALIDATION", 9: "TEST"}.get(number % 10, "TRAIN")
        rows.append(",".join([ml_use, f"gs://{bucket.name}/{path.name}", *labels]))
    csv_uri = drawn_images.write_csv(bucket, "import.csv", rows)
    dataset: Any = {"display_name": "colours", "image_classification_dataset_metadata": {"classification_type": kind}}
    name = api.automl.create_dataset(parent=PARENT, dataset=dataset).result(timeout=30).name
    operation = api.finished(api.start_import(name, csv_uri))
    assert not operation.HasField("error"), operation.error
    return name


def trained(api: Api, dataset: str, **metadata: Any) -> automl_v1.Model:
    model: Any = {
        "display_name": "first",
        "dataset_id": dataset.rpartition("/")[2],
        "image_classification_model_metadata": {
            "model_type": "mobile-low-latency-1", "train_budget_milli_node_hours": 1000, **metadata,
        },
    }  # fmt: skip
    operation = api.finished(api.automl.create_model(parent=PARENT, model=model).operation.name)
    assert not operation.HasField("error"), operation.error
    return automl_v1.Model.deserialize(operation.response.value)


def predicts_what_it_has_learned(api: Api, model: str, bucket: pathlib.Path) -> None:
    """New images get their label, online and in a batch."""
    drawings = [drawn_images.draw(100 + number, boxes=1) for number in range(6)]
    for number, drawing in enumerate(drawings):
        (bucket / f"new-{number}.jpg").write_bytes(drawing.content)
    csv_uri = drawn_images.write_csv(bucket, "new.csv", [f"gs://{bucket.name}/new-{number}.jpg" for number in range(6)])
    operation = api.finished(api.start_batch(model, csv_uri, f"gs://{bucket.name}/predicted/"))
    assert not operation.HasField("error"), operation.error
    (results,) = (bucket / "predicted").glob("prediction-*/image_classification_1.jsonl")
    lines = [json.loads(line)["annotations"] for line in results.read_text().splitlines()]
    assert [line[0]["display_name"] for line in lines] == [drawing.boxes[0][0] for drawing in drawings]
    api.deploy(model)
    for drawing, line in zip(drawings, lines, strict=True):
        payload: Any = {"image": {"image_bytes": drawing.content}}
        (found,) = api.prediction.predict(name=model, payload=payload).payload
        assert (found.display_name, found.annotation_spec_id) == (
            line[0]["display_name"],
            line[0]["annotation_spec_id"],
        )
        assert found.classification.score == pytest.approx(line[0]["classification"]["score"])


@pytest.mark.slow
def test_a_classifier_is_trained_evaluated_and_exported(service):
    bucket = service.bucket("colours")
    with open_api(service) as api:
        dataset = imported(api, bucket, MULTICLASS)
        model = trained(api, dataset)
        found = model.image_classification_model_metadata
        assert model.name.rpartition("/")[2].startswith("ICN") and found.model_type == "mobile-low-latency-1"
        assert found.stop_reason in ("BUDGET_REACHED", "MODEL_CONVERGED")
        assert 0 < found.train_cost_milli_node_hours <= found.train_budget_milli_node_hours == 1000
        evaluations = list(api.automl.list_model_evaluations(parent=model.name, filter=""))
        assert sorted(one.display_name for one in evaluations) == ["", "blue", "red"]
        (overall,) = [one for one in evaluations if not one.annotation_spec_id]
        metrics = overall.classification_evaluation_metrics
        assert overall.evaluated_example_count == 4 and len(metrics.confidence_metrics_entry) == 24
        assert sum(sum(row.example_count) for row in metrics.confusion_matrix.row) == 4
        assert metrics.confidence_metrics_entry[0].position_threshold == 2**31 - 1
        assert 0.5 <= metrics.au_roc <= 1.0 and metrics.log_loss > 0.0
        with open_api(service, "rest") as other:
            assert other.automl.get_model(name=model.name) == api.automl.get_model(name=model.name)
            assert list(other.automl.list_model_evaluations(parent=model.name, filter="")) == evaluations
        config: Any = {"model_format": "onnx", "gcs_destination": {"output_uri_prefix": "gs://colours/out/"}}
        operation = api.automl.export_model(name=model.name, output_config=config).operation.name
        assert not api.finished(operation).HasField("error")
        predicts_what_it_has_learned(api, model.name, bucket)
    (folder,) = (bucket / "out" / "model-export" / "icn").iterdir()
    opened = classification.Classifier.open(folder, streams=1)
    assert [one.display_name for one in opened.labels] == (folder / "dict.txt").read_text().split()
    scores = opened.predict(drawn_images.draw(100, boxes=1).content)
    assert opened.labels[scores.label_indices[0]].display_name == "red" and scores.scores.sum() == pytest.approx(1.0)


@pytest.mark.full
def test_several_labels_an_image_and_a_start_from_another_model(service):
    with open_api(service) as api:
        dataset = imported(api, service.bucket("several"), MULTILABEL)
        first = trained(api, dataset)
        base_id = first.name.rpartition("/")[2]
        again = trained(api, dataset, base_model_id=base_id)
        assert again.image_classification_model_metadata.base_model_id == base_id
        (overall,) = [
            one for one in api.automl.list_model_evaluations(parent=again.name, filter="") if not one.annotation_spec_id
        ]
        metrics = overall.classification_evaluation_metrics
        assert not metrics.confusion_matrix.row and metrics.au_prc > 0.5
        described = api.automl.get_model(name=again.name)
        assert described.image_classification_model_metadata.model_type == "mobile-low-latency-1"
        with pytest.raises(exceptions.InvalidArgument, match="of type mobile-low-latency-1"):
            trained(api, dataset, base_model_id=base_id, model_type="cloud")
