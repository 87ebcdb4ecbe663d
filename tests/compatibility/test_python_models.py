"""The official Python client on models, evaluations and predictions, over both transports."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from google.cloud.automl_v1 import types
from tests.support.clients.api import PARENT, Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import promptly
from tests.support.predictions.tiny_model import DATASET_ID, EVALUATED_IMAGES, SPEC_IDS, TinyModel

GRID = [number / 100 for number in [*range(5, 100, 5), 96, 97, 98, 99]]
IMAGE = drawn_images.draw(0).content
_numbers = itertools.count(7_000_000_000_000_000_001)


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def model(service, tiny_model: TinyModel) -> str:
    """A deployed model."""
    name = tiny_model.install(service.data_dir, f"IOD{next(_numbers)}")
    with open_api(service) as opened:
        opened.deploy(name)
    return name


@pytest.fixture(scope="module")
def bucket(service):
    """A bucket with five images and their list."""
    folder = service.bucket("predict")
    names = drawn_images.write_images(folder / "images", 5)
    drawn_images.write_csv(folder, "list.csv", [f"gs://predict/images/{name}" for name in names])
    return folder


# ---- models -------------------------------------------------------------------------------------------------------------


def test_a_model_is_got_and_listed_with_what_its_training_left(api, model):
    got = api.automl.get_model(name=model)
    seen = got.image_object_detection_model_metadata
    assert (got.name, got.display_name, got.dataset_id) == (model, "tiny", DATASET_ID)
    assert automl_v1.Model.pb(got).WhichOneof("model_metadata") == "image_object_detection_model_metadata"
    assert (seen.model_type, seen.stop_reason) == ("mobile-low-latency-1", "MODEL_CONVERGED")
    assert (seen.train_budget_milli_node_hours, seen.train_cost_milli_node_hours) == (1000, 1)
    assert got in list(api.automl.list_models(parent=PARENT))


MODEL_FILTERS = [
    ("", True),
    ("image_object_detection_model_metadata:*", True),
    ("imageObjectDetectionModelMetadata:*", True),
    ("NOT image_object_detection_model_metadata:*", False),
    ("text_extraction_model_metadata:*", False),
    (f"dataset_id={DATASET_ID}", True),
    (f"dataset_id!={DATASET_ID}", False),
    ("datasetId=IOD5", False),
]


@pytest.mark.parametrize(("text", "is_found"), MODEL_FILTERS)
def test_models_are_filtered_as_documented(api, model, text, is_found):
    found = [one.name for one in api.automl.list_models(request={"parent": PARENT, "filter": text})]
    assert (model in found) is is_found


def test_models_are_listed_in_pages_newest_first(service, api, tiny_model):
    names = [tiny_model.install(service.data_dir, f"IOD{next(_numbers)}") for _ in range(3)]
    pages = api.automl.list_models(request={"parent": PARENT, "page_size": 2}).pages
    listed = [[one.name for one in page.model] for page in pages]
    assert all(len(page) == 2 for page in listed[:-1])
    assert [name for page in listed for name in page if name in names] == names[::-1]


def test_a_deleted_model_is_gone_with_its_evaluations_and_its_folder(service, api, tiny_model):
    name = tiny_model.install(service.data_dir, f"IOD{next(_numbers)}")
    folder = service.data_dir / "models" / name.rpartition("/")[2]
    assert folder.exists()
    deletion = api.automl.delete_model(name=name)
    deletion.result(timeout=30)
    assert automl_v1.OperationMetadata.pb(deletion.metadata).WhichOneof("details") == "delete_details"
    assert not folder.exists()
    for act in (api.automl.get_model, api.automl.delete_model):
        with pytest.raises(exceptions.NotFound, match=r"The model does not exist\."):
            act(name=name)
    with pytest.raises(exceptions.NotFound, match=r"The model does not exist\."):
        api.automl.list_model_evaluations(parent=name, filter="")


@pytest.mark.parametrize("model_id", ["TRL0000000000000000000", "0000000000000000000000"])
def test_an_unknown_model_is_told_in_the_published_words(api, model_id):
    name = f"{PARENT}/models/{model_id}"
    for act in (api.automl.get_model, api.automl.delete_model, api.automl.deploy_model, api.automl.undeploy_model):
        with pytest.raises(exceptions.NotFound, match="The model does not exist"):
            act(name=name)


def test_an_unknown_model_is_reported_before_a_bucket_that_is_not_there(api):
    with pytest.raises(exceptions.NotFound, match="does not exist") as raised:
        api.start_batch(f"{PARENT}/models/TEN0000000000000000000", "gs://nowhere/in.csv", "gs://nowhere/out/")
    assert "nowhere" not in str(raised.value)


# ---- evaluations ----------------------------------------------------------------------------------------------------------


def test_exactly_one_evaluation_is_overall_and_there_is_one_for_each_label(api, model):
    evaluations = list(api.automl.list_model_evaluations(parent=model, filter=""))
    assert sorted(one.annotation_spec_id for one in evaluations) == sorted(["", *SPEC_IDS])
    (overall,) = [one for one in evaluations if not one.annotation_spec_id]
    assert overall.display_name == ""
    assert overall.evaluated_example_count == EVALUATED_IMAGES
    assert {one.display_name for one in evaluations if one.annotation_spec_id} == set(drawn_images.LABELS)
    for one in evaluations:
        assert re.fullmatch(rf"{model}/modelEvaluations/[1-9]\d{{0,18}}", one.name)
        assert api.automl.get_model_evaluation(name=one.name) == one


def test_an_evaluation_has_the_grid_of_thresholds_exactly(api, model):
    for evaluation in api.automl.list_model_evaluations(parent=model, filter=""):
        metrics = evaluation.image_object_detection_evaluation_metrics
        entries = metrics.bounding_box_metrics_entries
        assert [entry.iou_threshold for entry in entries] == pytest.approx(GRID, abs=1e-7)
        assert entries[GRID.index(0.5)].iou_threshold == 0.5
        for entry in entries:
            rows = entry.confidence_metrics_entries
            assert [row.confidence_threshold for row in rows] == pytest.approx(GRID, abs=1e-7)
            assert rows[GRID.index(0.5)].confidence_threshold == 0.5
            assert all(0 <= value <= 1 for row in rows for value in (row.recall, row.precision, row.f1_score))
        mean = sum(entry.mean_average_precision for entry in entries) / len(entries)
        assert metrics.bounding_box_mean_average_precision == pytest.approx(mean, abs=1e-6)
        assert metrics.evaluated_bounding_box_count > 0


EVALUATION_FILTERS = [
    ("annotation_spec_id:*", 2),
    ("NOT annotation_spec_id:*", 1),
    (f"annotation_spec_id={SPEC_IDS[0]}", 1),
    (f"annotation_spec_id!={SPEC_IDS[0]}", 2),
    (f"annotationSpecId={SPEC_IDS[0]}", 1),
    ("imageObjectDetectionModelMetadata:*", 3),
]


@pytest.mark.parametrize(("text", "count"), EVALUATION_FILTERS)
def test_evaluations_are_filtered_as_documented(api, model, text, count):
    assert len(list(api.automl.list_model_evaluations(parent=model, filter=text))) == count


def test_an_unknown_evaluation_is_not_found(api, model):
    with pytest.raises(exceptions.NotFound):
        api.automl.get_model_evaluation(name=f"{model}/modelEvaluations/1")


# ---- online prediction ------------------------------------------------------------------------------------------------


def _predict(api: Api, model: str, image: bytes = IMAGE, **params: str) -> list[types.AnnotationPayload]:
    payload = {"image": {"image_bytes": image}}
    return list(api.prediction.predict(name=model, payload=payload, params=params).payload)


def test_a_prediction_has_two_vertices_a_label_and_a_score_each_best_first(api, model):
    found = _predict(api, model, score_threshold="0.0")
    assert found
    scores = [one.image_object_detection.score for one in found]
    assert scores == sorted(scores, reverse=True)
    for one in found:
        first, second = one.image_object_detection.bounding_box.normalized_vertices
        assert 0 <= first.x < second.x <= 1
        assert 0 <= first.y < second.y <= 1
        assert (one.display_name, one.annotation_spec_id) in zip(drawn_images.LABELS, SPEC_IDS, strict=True)


def test_params_narrow_a_prediction_and_the_default_threshold_is_a_half(api, model):
    everything = _predict(api, model, score_threshold="0.0", max_bounding_box_count="500")
    assert _predict(api, model) == [one for one in everything if one.image_object_detection.score >= 0.5][:100]
    assert len(_predict(api, model, max_bounding_box_count="2")) == 2
    assert _predict(api, model, score_threshold="1.0") == []
    mistyped = {"score_treshold": "1.0", "feature_importance": "true", "scoreThreshold": "0.0"}
    payload = {"image": {"image_bytes": drawn_images.draw(0).content}}
    answer = api.prediction.predict(name=model, payload=payload, params=mistyped)
    assert dict(answer.metadata) == {
        "ignored_params": "feature_importance, score_treshold (nearest known key: score_threshold)"
    }
    assert not api.prediction.predict(name=model, payload=payload, params={"score-threshold": "0"}).metadata


def test_online_and_batch_prediction_agree(api, model, bucket):
    name = api.start_batch(model, "gs://predict/list.csv", "gs://predict/agree/", score_threshold="0.4")
    directory = metadata(api.finished(name)).batch_predict_details.output_info.gcs_output_directory
    folder = bucket / directory.removeprefix("gs://predict/")
    for line in (folder / "image_object_detection_1.jsonl").read_text().splitlines():
        value = json.loads(line)
        image = (bucket / value["ID"].removeprefix("gs://predict/")).read_bytes()
        online = _predict(api, model, image, score_threshold="0.4")
        batch = [one["image_object_detection"] for one in value["annotations"]]
        assert [one.image_object_detection.score for one in online] == pytest.approx([one["score"] for one in batch])
        for one, other in zip(online, batch, strict=True):
            for vertex, expected in zip(
                one.image_object_detection.bounding_box.normalized_vertices,
                other["bounding_box"]["normalized_vertices"],
                strict=True,
            ):
                assert (vertex.x, vertex.y) == pytest.approx((expected["x"], expected["y"]), abs=1e-6)


def test_a_model_id_without_three_letters_is_invalid_for_predict(api):
    with pytest.raises(exceptions.BadRequest, match=r"Model ID is invalid\. It should start with 3 letters\."):
        _predict(api, f"{PARENT}/models/0000000000000000000000")


# ---- batch prediction -------------------------------------------------------------------------------------------------


def test_a_batch_ends_with_the_result_that_the_client_unpacks(api, model, bucket):
    operation = api.prediction.batch_predict(
        name=model,
        input_config={"gcs_source": {"input_uris": ["gs://predict/list.csv"]}},
        output_config={"gcs_destination": {"output_uri_prefix": "gs://predict/out"}},
    )
    assert isinstance(operation.result(timeout=60), automl_v1.BatchPredictResult)
    details = operation.metadata.batch_predict_details
    assert list(details.input_config.gcs_source.input_uris) == ["gs://predict/list.csv"]
    directory = details.output_info.gcs_output_directory
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"gs://predict/out/prediction-tiny-{stamp}", directory)
    assert operation.metadata.progress_percent == 100
    folder = bucket / directory.removeprefix("gs://predict/")
    assert [path.name for path in folder.glob("*.jsonl")] == ["image_object_detection_1.jsonl"]


def test_the_folder_is_named_by_the_time_of_the_call(api, model, bucket):
    operation = api.finished(api.start_batch(model, "gs://predict/list.csv", "gs://predict/named"))
    seen = metadata(operation)
    moment = seen.create_time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    assert seen.batch_predict_details.output_info.gcs_output_directory.endswith(f"prediction-tiny-{moment}")


def test_several_lists_are_one_job_and_a_slash_at_the_prefixs_end_makes_no_difference(api, model, bucket):
    drawn_images.write_csv(bucket, "more.csv", ["gs://predict/images/0004.jpg", "gs://predict/images/none.jpg"])
    operation = api.prediction.batch_predict(
        name=model,
        input_config={"gcs_source": {"input_uris": ["gs://predict/list.csv", "gs://predict/more.csv"]}},
        output_config={"gcs_destination": {"output_uri_prefix": "gs://predict/several/"}},
    )
    operation.result(timeout=60)
    directory = operation.metadata.batch_predict_details.output_info.gcs_output_directory
    assert "//prediction" not in directory
    folder = bucket / directory.removeprefix("gs://predict/")
    lines = (folder / "image_object_detection_1.jsonl").read_text().splitlines()
    assert [json.loads(line)["ID"][-8:-4] for line in lines] == ["0000", "0001", "0002", "0003", "0004"]
    assert json.loads((folder / "errors_1.jsonl").read_text())["ID"] == "gs://predict/images/none.jpg"
    assert [failure.code for failure in operation.metadata.partial_failures] == [5]


def test_a_model_that_a_batch_uses_is_not_deleted_under_it(service, api, tiny_model, bucket):
    name = tiny_model.install(service.data_dir, f"IOD{next(_numbers)}")
    images = drawn_images.write_images(bucket / "many", 600)
    drawn_images.write_csv(bucket, "many.csv", [f"gs://predict/many/{image}" for image in images])
    operation = api.start_batch(name, "gs://predict/many.csv", "gs://predict/used/")
    with pytest.raises(exceptions.BadRequest, match=operation):
        api.automl.delete_model(name=name)
    assert not api.finished(operation).HasField("error")
    api.automl.delete_model(name=name).result(timeout=30)


def test_calls_that_start_work_answer_at_once(api, model, bucket):
    with promptly(5):
        names = [api.start_batch(model, "gs://predict/list.csv", "gs://predict/quick/") for _ in range(5)]
    details = [metadata(api.finished(name)).batch_predict_details for name in names]
    assert len({one.output_info.gcs_output_directory for one in details}) == 5, "two jobs shared a folder"
