"""The whole job by commands alone, and what each of them says and returns, against a running service."""

from __future__ import annotations

import csv
import json
import pathlib
import re

import pytest
from PIL import Image
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.command_line import CommandLine, fields

IMAGES = 8


@pytest.fixture
def boxwright(service) -> CommandLine:
    """Runs commands that are pointed at the session's service, in a project of their own."""
    return CommandLine(service.url)


@pytest.fixture
def model(service, tiny_model: TinyModel, request) -> str:
    """A model whose display name is that of the test; returns its id."""
    model_id = f"IOD{7_500_000_000_000_000_000 + abs(hash(request.node.name)) % 10**17}"
    tiny_model.install(service.data_dir, model_id, display_name=_display_name(request))
    return model_id


def _display_name(request) -> str:
    return re.sub(r"\W", "_", request.node.name.removeprefix("test_"))[:32]


def _write_list(service, bucket: str, extra: list[str], count: int = IMAGES) -> str:
    folder = service.bucket(bucket)
    rows = [f"gs://{bucket}/{name}" for name in drawn_images.write_images(folder, count)]
    return drawn_images.write_csv(folder, "list.csv", [*rows, *extra])


def _row(table: str, start: str) -> str:
    (row,) = [line for line in table.splitlines() if line.startswith(start)]
    return row


def test_datasets_are_created_filled_listed_exported_and_deleted(boxwright, service):
    bucket = service.bucket("commands-datasets")
    csv_uri = drawn_images.write_dataset(bucket, 20)
    name = boxwright.done(
        "datasets", "create", "cmd_things", "--description", "two colours", "--label", "team=a"
    ).strip()
    dataset_id = name.rpartition("/")[2]
    imported = boxwright("datasets", "import", "cmd_things", csv_uri, "--wait")
    assert (imported.returncode, imported.stdout) == (0, "SUCCEEDED  100%\n")
    assert re.search(r"^Started projects/demo/locations/us-central1/operations/IOD\d+$", imported.stderr, re.MULTILINE)
    listed = boxwright.done("datasets", "list")
    assert listed.split()[:5] == ["DATASET", "NAME", "TYPE", "IMAGES", "CREATED"]
    assert _row(listed, dataset_id).split()[1:4] == ["cmd_things", "detection", "20"]
    described = boxwright.done("datasets", "describe", "cmd_things")
    facts = {"name": name, "description": "two colours", "images": "20", "labels": "team=a"}
    assert {key: fields(described).get(key) for key in facts} == facts, described
    exported = boxwright.done("datasets", "export", "cmd_things", "gs://commands-datasets/out/", "--wait")
    folder = service.buckets / exported.split()[-1].removeprefix("gs://")
    rows = [row for path in folder.rglob("*.csv") for row in csv.reader(path.read_text().splitlines())]
    assert {row[1] for row in rows if row[1].endswith(".jpg")} >= {"gs://commands-datasets/images/0000.jpg"}
    refused = boxwright("datasets", "delete", "cmd_things")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--yes" in refused.stderr
    assert (
        boxwright.done("datasets", "delete", "cmd_things", "--yes")
        == f"Deleted the dataset cmd_things ({dataset_id}).\n"
    )
    assert boxwright("datasets", "describe", dataset_id).returncode == 2


@pytest.mark.parametrize("of_type", ["multiclass", "multilabel"])
def test_datasets_with_labels_and_no_boxes_are_filled_and_exported(boxwright, service, of_type):
    bucket = service.bucket(f"commands-{of_type}")
    csv_uri = drawn_images.write_label_dataset(bucket, 4, labels=1 if of_type == "multiclass" else 2, bare=1)
    name = boxwright.done("datasets", "create", f"cmd_{of_type}", "--type", of_type).strip()
    dataset_id = name.rpartition("/")[2]
    assert dataset_id.startswith("ICN")
    assert boxwright.done("datasets", "import", f"cmd_{of_type}", csv_uri, "--wait") == "SUCCEEDED  100%\n"
    assert _row(boxwright.done("datasets", "list"), dataset_id).split()[1:4] == [f"cmd_{of_type}", of_type, "5"]
    described = fields(boxwright.done("datasets", "describe", dataset_id))
    assert (described["type"], described["images"]) == (of_type, "5")
    exported = boxwright.done("datasets", "export", dataset_id, f"gs://commands-{of_type}/out/", "--wait")
    (file,) = (service.buckets / exported.split()[-1].removeprefix("gs://")).rglob("image_classification_1.csv")
    assert sorted(file.read_text().splitlines()) == sorted((bucket / "labels.csv").read_text().splitlines())
    refused = boxwright("models", "train", dataset_id)
    assert refused.returncode == 2
    assert "Each label needs at least 10 images that carry it" in refused.stderr


def test_an_import_with_bad_rows_ends_with_3_and_one_of_bad_rows_alone_with_1(boxwright, service):
    bucket = service.bucket("commands-rows")
    csv_uri = drawn_images.write_dataset(bucket, 10)
    with (bucket / "import.csv").open("a") as file:
        file.write("TRAIN,gs://commands-rows/none.jpg,red,0.1,0.1,,,0.5,0.5,,\n")
    bad_uri = drawn_images.write_csv(bucket, "bad.csv", ["TRAIN,gs://commands-rows/none.jpg,red,0.1,0.1,,,0.5,0.5,,"])
    boxwright.done("datasets", "create", "cmd_rows")
    partly = boxwright("datasets", "import", "cmd_rows", csv_uri, "--wait")
    assert partly.returncode == 3, partly.stderr
    assert "gs://commands-rows/none.jpg" in partly.stderr
    failed = boxwright("datasets", "import", "cmd_rows", bad_uri, "--wait")
    assert (failed.returncode, failed.stdout.split()[0]) == (1, "FAILED")
    missing = boxwright("datasets", "import", "cmd_rows", "gs://commands-rows/none.csv")
    assert (missing.returncode, missing.stdout.split()[0]) == (1, "FAILED")
    assert "gs://commands-rows/none.csv does not exist" in missing.stdout


def test_a_batch_is_predicted_and_its_failed_images_are_tried_again(boxwright, service, model):
    name = "a_batch_is_predicted_and_its_failed_images"[:32]
    csv_uri = _write_list(service, "commands-batch", ["gs://commands-batch/late.jpg", "gs://commands-batch/never.jpg"])
    prefix = "gs://commands-batch/out/"
    first = boxwright("batch", "predict", name, csv_uri, prefix, "--threshold", "0.9", "--max-boxes", "3", "--wait")
    assert first.returncode == 3, first.stderr
    assert first.stdout.startswith(f"SUCCEEDED  {IMAGES + 2} of {IMAGES + 2} images, 2 failed, 100%")
    operation = re.search(r"boxwright batch retry (IOD\d+)\n", first.stderr)[1]
    (service.bucket("commands-batch") / "late.jpg").write_bytes(drawn_images.draw(99).content)
    second = boxwright("batch", "retry", operation, "--wait")
    assert second.returncode == 3, second.stderr
    assert second.stdout.startswith("SUCCEEDED  2 of 2 images, 1 failed, 100%")
    folder = service.buckets / second.stdout.split()[-1].removeprefix("gs://")
    assert folder != service.buckets / first.stdout.split()[-1].removeprefix("gs://")
    (line,) = (folder / "image_object_detection_1.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert found["ID"] == "gs://commands-batch/late.jpg"
    assert len(found["annotations"]) <= 3
    assert all(one["image_object_detection"]["score"] >= 0.9 for one in found["annotations"])
    (failed,) = (folder / "errors_1.jsonl").read_text().splitlines()
    assert json.loads(failed)["ID"] == "gs://commands-batch/never.jpg"
    third = boxwright("batch", "retry", second.stdout.split()[-1].rpartition("/")[2], "--wait")
    assert (third.returncode, third.stdout.split()[0]) == (1, "FAILED")
    assert "1 NOT_FOUND" in third.stdout
    again = boxwright("batch", "retry", model)
    assert again.returncode == 2
    assert "There is no operation" in again.stderr
    several = boxwright("batch", "retry", name)
    assert several.returncode == 2
    assert "stands for 3 operations" in several.stderr


def test_results_are_made_again_with_thresholds_of_labels_and_formats(boxwright, service, model):
    name = "results_are_made_again_with_thresholds_of_labels"[:32]
    csv_uri = _write_list(service, "commands-rewrite", [])
    prefix, label = "gs://commands-rewrite/out/", drawn_images.LABELS[0]
    options = ("--threshold", "0.4", "--label", f"{label}=0.6", "--only", label, "--max-boxes", "2", "--format", "csv")
    first = boxwright.done("batch", "predict", name, csv_uri, prefix, "--wait").split()[-1].removesuffix("/")
    direct = boxwright.done("batch", "predict", name, csv_uri, prefix, *options, "--no-candidates", "--wait").split()[
        -1
    ]
    again = boxwright.done("batch", "rewrite", first, prefix, *options, "--wait").split()[-1]
    made, expected = (
        {path.name: path.read_bytes() for path in (service.buckets / uri.removeprefix("gs://")).rglob("image*")}
        for uri in (again, direct)
    )
    assert made == expected and sorted(made) == ["image_object_detection_1.csv", "image_object_detection_1.jsonl"]
    named = boxwright.done("batch", "rewrite", f"{first}/manifest.json", prefix, "--model", name, *options, "--json")
    with open_api(service) as api:
        assert not api.finished(json.loads(named)["name"]).HasField("error")
        described = fields(boxwright.done("operations", "describe", json.loads(named)["name"]))
        assert (described["threshold"], described["labels"]) == (f"0.4, {label} 0.6", label)
    lone = boxwright("batch", "rewrite", "gs://commands-rewrite/elsewhere", prefix)
    assert (lone.returncode, "is no results' folder" in lone.stderr) == (2, True)
    wrong = boxwright("batch", "rewrite", first, prefix, "--label", label)
    assert (wrong.returncode, f"--label: '{label}' is not LABEL=SCORE" in wrong.stderr) == (2, True)
    below = boxwright("batch", "rewrite", first, prefix, "--threshold", "0.01", "--wait")
    assert below.returncode == 1 and "scores of at least 0.05" in below.stdout + below.stderr


def test_a_classifier_is_deployed_asked_and_predicts_a_list(
    boxwright, service, tiny_classifier: TinyModel, tmp_path: pathlib.Path
):
    model = tiny_classifier.install(service.data_dir, "ICN7600000000000000001", display_name="cmd_labels")
    drawn_images.write_images(tmp_path / "photos", 2)
    assert boxwright.done("models", "deploy", "cmd_labels", "--nodes", "2").startswith("Deployed ")
    photos = tmp_path / "photos"
    printed = boxwright.done("predict", "cmd_labels", photos, "--threshold", "0", "--out", tmp_path / "drawn")
    lines = [line.split() for line in printed.splitlines()]
    assert lines[0] == ["IMAGE", "LABEL", "SCORE"] and len(lines) == 1 + 2 * len(drawn_images.LABELS)
    with open_api(service) as api:
        payload = {"image": {"image_bytes": (photos / "0001.jpg").read_bytes()}}
        answer = api.prediction.predict(name=model, payload=payload, params={"score_threshold": "0"})
    expected = [[one.display_name, f"{one.classification.score:.3f}"] for one in answer.payload]
    assert [line[1:] for line in lines if line[0].endswith("0001.jpg")] == expected
    assert (tmp_path / "drawn" / "0000.jpg").read_bytes() != (photos / "0000.jpg").read_bytes()
    csv_uri = _write_list(service, "commands-labels", ["gs://commands-labels/late.jpg"])
    options = ("--threshold", "0.55", "--max-boxes", "1", "--wait")
    first = boxwright("batch", "predict", "cmd_labels", csv_uri, "gs://commands-labels/out/", *options)
    assert first.returncode == 3, first.stderr
    operation = re.search(r"boxwright batch retry (ICN\d+)\n", first.stderr)[1]
    described = boxwright.done("operations", "describe", operation)
    assert "max_bounding_box_count" in described and "0.55" in described
    (service.bucket("commands-labels") / "late.jpg").write_bytes(drawn_images.draw(99).content)
    second = boxwright("batch", "retry", operation, "--wait")
    assert (second.returncode, second.stdout.split()[0]) == (0, "SUCCEEDED"), second.stderr
    folder = service.buckets / first.stdout.split()[-1].removeprefix("gs://")
    found = [json.loads(line) for line in (folder / "image_classification_1.jsonl").read_text().splitlines()]
    assert len(found) == IMAGES
    assert all(one["classification"]["score"] >= 0.55 for line in found for one in line["annotations"])
    shown = boxwright.done("results", "show", folder, "--buckets", service.buckets, "--out", tmp_path / "page.html")
    labels = sum(len(line["annotations"]) for line in found)
    assert f"{IMAGES} images, 1 failed, {labels} labels; {IMAGES} shown" in shown
    verified = boxwright.done("verify", folder)
    assert "every row and every byte is accounted for" in verified


def test_what_cannot_be_tried_again_is_told(boxwright, service, model):
    name = "what_cannot_be_tried_again_is_told"[:32]
    csv_uri = _write_list(service, "commands-clean", [], count=2)
    started = json.loads(
        boxwright.done("batch", "predict", name, csv_uri, "gs://commands-clean/out/", "--wait", "--json")
    )
    assert started["done"] is True
    assert started["response"]["metadata"]["failed"] == "0"
    operation = started["name"].rpartition("/")[2]
    nothing = boxwright("batch", "retry", operation)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "there is nothing to predict again" in nothing.stderr
    boxwright.done("models", "deploy", name)
    with open_api(service) as api:
        listed = api.stub.ListOperations(
            _operations_request(f'works_on="projects/demo/locations/us-central1/models/{model}"')
        ).operations
    deployment = next(one.name for one in listed if not one.name.endswith(operation))
    no_batch = boxwright("batch", "retry", deployment)
    assert no_batch.returncode == 2
    assert "is no batch prediction (deploy_model)" in no_batch.stderr
    cancelled = boxwright("operations", "cancel", operation)
    assert (cancelled.returncode, cancelled.stdout) == (1, "")
    assert "has ended already: SUCCEEDED. There is nothing to cancel." in cancelled.stderr


def _operations_request(text: str):
    from google.longrunning import operations_pb2

    return operations_pb2.ListOperationsRequest(name="projects/demo/locations/us-central1", filter=text)


def test_addresses_of_this_machine_are_refused_with_what_to_do(boxwright, model):
    for arguments in (
        ("batch", "predict", model, "list.csv", "gs://b/out/"),
        ("batch", "predict", model, "gs://b/list.csv", "/tmp/out"),
        ("datasets", "import", "things", "C:\\data\\labels.csv"),
        ("datasets", "export", "things", "out"),
        ("models", "export", model, "./out"),
    ):
        refused = boxwright(*arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "is a path of this machine" in refused.stderr
        assert "gs://BUCKET/" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_model_is_deployed_asked_exported_and_deleted(boxwright, service, model, tmp_path: pathlib.Path):
    name = "a_model_is_deployed_asked_exported_and_deleted"[:32]
    for folder, count in (("photos", 2), ("photos/more", 1), ("others", 1)):
        drawn_images.write_images(tmp_path / folder, count)
    sideways = Image.new("RGB", (80, 40), (200, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways.save(tmp_path / "sideways.jpg", exif=exif)
    undeployed = boxwright("predict", name, tmp_path / "photos")
    assert (undeployed.returncode, undeployed.stdout) == (2, "")
    assert f"boxwright models deploy {model}" in undeployed.stderr
    assert boxwright.done("models", "deploy", name, "--nodes", "2").startswith("Deployed ")
    listed = _row(boxwright.done("models", "list"), model).split()
    assert listed[1:4] == [name, "mobile-low-latency-1", "deployed"]
    drawn = tmp_path / "drawn"
    printed = boxwright.done(
        "predict",
        name,
        tmp_path / "photos",
        tmp_path / "sideways.jpg",
        tmp_path / "others",
        "--threshold",
        "0.2",
        "--out",
        drawn,
    )
    assert printed.split()[:3] == ["IMAGE", "LABEL", "SCORE"]
    with open_api(service) as api:
        content = (tmp_path / "sideways.jpg").read_bytes()
        answer = api.prediction.predict(
            name=f"projects/demo/locations/us-central1/models/{model}",
            payload={"image": {"image_bytes": content}},
            params={"score_threshold": "0.2"},
        )
    shown = [line.split()[1:3] for line in printed.splitlines() if line.startswith(str(tmp_path / "sideways.jpg"))]
    assert shown == [[one.display_name, f"{one.image_object_detection.score:.3f}"] for one in answer.payload] or [["-"]]
    assert sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*.jpg")) == [
        "0000-2.jpg",
        "0000.jpg",
        "0001.jpg",
        "more/0000.jpg",
        "sideways.jpg",
    ]
    with Image.open(drawn / "sideways.jpg") as upright:
        assert upright.size == (40, 80)
    assert (drawn / "0000.jpg").read_bytes() != (tmp_path / "photos/0000.jpg").read_bytes()
    exported = boxwright.done(
        "models", "export", name, "gs://commands-models/out/", "--format", "onnx", "--wait", status=1
    )
    assert exported.startswith("FAILED")  # there is no such bucket yet
    service.bucket("commands-models")
    exported = boxwright.done("models", "export", name, "gs://commands-models/out/", "--format", "onnx", "--wait")
    assert list((service.buckets / exported.split()[-1].removeprefix("gs://")).rglob("*.onnx"))
    assert boxwright.done("models", "undeploy", name).startswith("Undeployed ")
    assert boxwright.done("models", "delete", name, "--yes") == f"Deleted the model {name} ({model}).\n"
    assert "There is no model" in boxwright("models", "describe", name).stderr


def test_images_that_cannot_be_predicted_are_told_and_the_others_are_predicted(
    boxwright, model, tmp_path: pathlib.Path
):
    boxwright.done("models", "deploy", model)
    (good,) = drawn_images.write_images(tmp_path, 1)
    (tmp_path / "no-image.jpg").write_bytes(b"this is text")
    (tmp_path / "empty.jpg").touch()
    partly = boxwright("predict", model, tmp_path, "--json")
    assert partly.returncode == 3, partly.stderr
    entries = {pathlib.Path(one["image"]).name: one for one in json.loads(partly.stdout)}
    assert set(entries) == {good, "no-image.jpg", "empty.jpg"}
    assert "payload" in entries[good]
    assert entries["empty.jpg"]["error"]["message"] == "The file is empty."
    assert "no-image.jpg: " in partly.stderr
    assert boxwright("predict", model, tmp_path / "no-image.jpg").returncode == 1
    for arguments, told in (
        ((model, tmp_path / "none.jpg"), "There is no file or folder"),
        ((model, tmp_path / good, "--threshold", "7"), "score_threshold"),
        (("unknown_model", tmp_path / good), "There is no model 'unknown_model'"),
    ):
        refused = boxwright("predict", *arguments)
        assert (refused.returncode, refused.stdout) == (2, ""), refused.stderr
        assert told in refused.stderr


def test_a_display_name_of_several_is_refused_with_their_ids(boxwright, service, tiny_model: TinyModel):
    ids = ["IOD7400000000000000001", "IOD7400000000000000002"]
    for model_id in ids:
        tiny_model.install(service.data_dir, model_id, display_name="cmd_twice")
    refused = boxwright("models", "describe", "cmd_twice")
    assert refused.returncode == 2
    assert "'cmd_twice' stands for 2 models" in refused.stderr
    assert all(model_id in refused.stderr for model_id in ids)
    assert boxwright("models", "evaluate", ids[0]).returncode == 0


def test_an_evaluation_is_a_table_of_labels(boxwright, model):
    shown = boxwright("models", "evaluate", model, "--threshold", "0.3")
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["LABEL", "IMAGES", "BOXES", "AP@0.5", "AP@GRID", "PRECISION", "RECALL", "F1"]
    assert [line[:10].strip() for line in lines[1:]] == ["blue", "red", "all labels"]
    assert "a score of at least 0.30" in shown.stderr
    evaluations = json.loads(boxwright.done("models", "evaluate", model, "--json"))
    overall = next(one for one in evaluations if "displayName" not in one)["imageObjectDetectionEvaluationMetrics"]
    assert lines[3].split()[5] == f"{overall.get('boundingBoxMeanAveragePrecision', 0):.3f}"
    assert boxwright("models", "evaluate", model, "--threshold", "3").returncode == 2


def test_a_training_that_cannot_begin_is_told(boxwright):
    boxwright.done("datasets", "create", "cmd_empty")
    refused = boxwright("models", "train", "cmd_empty", "--name", "cmd_model", "--wait")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "has no labelled boxes" in refused.stderr
    wrong = boxwright("models", "train", "cmd_empty", "--node-hours", "0.01", "--model-type", "mobile-low-latency-1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "train_budget_milli_node_hours" in wrong.stderr


def test_a_project_with_nothing_in_it_says_so(boxwright):
    for noun in ("datasets", "models", "operations"):
        empty = boxwright(noun, "list", "--project", "nobody")
        assert (empty.returncode, empty.stdout) == (0, "")
        assert empty.stderr == f"There are no {noun} in projects/nobody/locations/us-central1 at {boxwright.url}.\n"
        assert boxwright.done(noun, "list", "--project", "nobody", "--json") == "[]\n"


@pytest.mark.full
def test_somebody_trains_and_predicts_without_writing_json(boxwright, service):
    csv_uri = drawn_images.write_dataset(service.bucket("commands-whole"), 40)
    list_uri = _write_list(service, "commands-whole", [])
    boxwright.done("datasets", "create", "cmd_whole")
    boxwright.done("datasets", "import", "cmd_whole", csv_uri, "--wait")
    trained = boxwright.done(
        "models", "train", "cmd_whole", "--name", "cmd_whole_1", "--model-type", "mobile-low-latency-1", "--wait"
    )
    assert "/models/IOD" in trained
    assert "cmd_whole_1" in boxwright.done("datasets", "describe", "cmd_whole")
    assert boxwright.done("models", "evaluate", "cmd_whole_1").count("\n") == 4
    predicted = boxwright.done("batch", "predict", "cmd_whole_1", list_uri, "gs://commands-whole/out/", "--wait")
    folder = predicted.split()[-1]
    page = service.buckets / "page.html"
    boxwright.done("results", "show", folder, "--buckets", service.buckets, "--out", page)
    assert page.read_text().count("data:image/jpeg;base64,") == IMAGES
