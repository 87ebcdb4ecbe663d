"""Bad input, one by one: each gets its code and a sentence that names the thing, and nothing leaves the buckets."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.rpc import code_pb2
from tests.support.clients.api import PARENT, Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

MODEL_ID = "IOD5000000000000000001"
MODEL = f"{PARENT}/models/{MODEL_ID}"
SECRET = "the secret of another folder"


@pytest.fixture(scope="module")
def buckets(service, tiny_model: TinyModel) -> pathlib.Path:
    """Two buckets, a folder outside of them, links that lead there, and a deployed model."""
    tiny_model.install(service.data_dir, MODEL_ID)
    bucket = service.bucket("bad")
    outside = service.buckets.parent / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(drawn_images.draw(1).content)
    (outside / "secret.csv").write_text(f"gs://bad/good.jpg,{SECRET}\n")
    (bucket / "good.jpg").write_bytes(drawn_images.draw(0).content)
    (bucket / "link.jpg").symlink_to(outside / "secret.jpg")
    (bucket / "link.csv").symlink_to(outside / "secret.csv")
    (bucket / "linked").symlink_to(outside)
    (bucket / "empty.csv").write_bytes(b"")
    (bucket / "blank.csv").write_bytes(b"\n \n,,\n")
    (bucket / "binary.csv").write_bytes(drawn_images.draw(0).content)
    (bucket / "nul.csv").write_bytes(b"gs://bad/good.jpg\0\n")
    (bucket / "folder.csv").mkdir()
    with open_api(service) as opened:
        opened.deploy(MODEL)
    return service.buckets


@pytest.fixture(params=["grpc", "rest"])
def api(service, buckets, request):
    with open_api(service, request.param) as opened:
        yield opened


def _batch(
    api: Api, csv_uri: str = "gs://bad/list.csv", output: str = "gs://bad/out/", model: str = MODEL, **params: str
):
    return api.finished(api.start_batch(model, csv_uri, output, **params))


# ---- the request itself -------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_not_found(api):
    for model_id in ("TEN0000000000000000000", "IOD0000000000000000"):
        with pytest.raises(exceptions.NotFound, match="does not exist"):
            _batch(api, model=f"{PARENT}/models/{model_id}")


def test_a_wrong_location_is_refused_by_name(api):
    with pytest.raises(exceptions.BadRequest, match="Location 'mars' is not served here; allowed: us-central1"):
        _batch(api, model=MODEL.replace("us-central1", "mars"))


@pytest.mark.parametrize(
    "name", ["projects/demo/models/x", "projects/demo/locations/us-central1/models/a/b", "x", "../x"]
)
def test_a_malformed_name_is_refused_and_quoted(service, buckets, name):
    with open_api(service) as grpc_api, pytest.raises(exceptions.InvalidArgument, match="Field: name; ") as raised:
        _batch(grpc_api, model=name)
    assert name in str(raised.value)


MISSING = [
    ({"input_config": {"gcs_source": {"input_uris": []}}}, "input_config.gcs_source.input_uris"),
    (
        {"output_config": {"gcs_destination": {"output_uri_prefix": ""}}},
        "output_config.gcs_destination.output_uri_prefix",
    ),
    ({"input_config": {}}, "input_config.gcs_source.input_uris"),
    ({"output_config": {}}, "output_config.gcs_destination.output_uri_prefix"),
]


@pytest.mark.parametrize(("part", "field"), MISSING)
def test_a_missing_field_is_named(api, part, field):
    request = {
        "name": MODEL,
        "input_config": {"gcs_source": {"input_uris": ["gs://bad/list.csv"]}},
        "output_config": {"gcs_destination": {"output_uri_prefix": "gs://bad/out/"}},
    }
    with pytest.raises(exceptions.BadRequest, match=rf"1\.Field: {field}; Message: Required field not set\."):
        api.prediction.batch_predict(request={**request, **part})


PARAMS = [
    ("score_threshold", "abc", "'abc' is not a number from 0.0 to 1.0"),
    ("score_threshold", "1.5", "1.5 is not a number from 0.0 to 1.0"),
    ("score_threshold", "-0.1", "-0.1 is not a number"),
    ("score_threshold", "nan", "nan is not a number"),
    ("max_bounding_box_count", "0", "0 is not a whole number from 1 to 500"),
    ("max_bounding_box_count", "ten", "'ten' is not a whole number"),
]


@pytest.mark.parametrize(("key", "value", "why"), PARAMS)
def test_a_bad_param_is_refused_at_once_for_both_kinds_of_prediction(api, key, value, why):
    with pytest.raises(exceptions.BadRequest, match=f"Field: params.{key}; Message: {why}"):
        _batch(api, **{key: value})
    with pytest.raises(exceptions.BadRequest, match=f"Field: params.{key}; Message: {why}"):
        api.prediction.predict(
            name=MODEL, payload={"image": {"image_bytes": drawn_images.draw(0).content}}, params={key: value}
        )


URIS = [
    "bad/list.csv",
    "/etc/passwd",
    "file:///etc/passwd",
    "gs://bad/../outside/secret.csv",
    "gs://bad//etc/passwd",
    "gs://../outside/secret.csv",
    "gs://bad/./list.csv",
    "state://boxwright/operations",
    "gs://bad/li\nst.csv",
]


@pytest.mark.parametrize("uri", URIS)
def test_a_path_that_is_none_or_leads_up_is_refused_at_once_for_input_and_output(api, uri):
    with pytest.raises(exceptions.BadRequest, match=r"Field: input_config\.gcs_source\.input_uris; Message: '"):
        _batch(api, csv_uri=uri)
    with pytest.raises(
        exceptions.BadRequest, match=r"Field: output_config\.gcs_destination\.output_uri_prefix; Message: '"
    ):
        _batch(api, output=uri)


BODIES = [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"params": 5}', b'{"noSuchField": 1}', b'{"name":"x"}' * 2]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_request_is_a_bad_request_in_the_documented_form(service, buckets, body):
    answer = requests.post(
        f"{service.url}/v1/{MODEL}:batchPredict", data=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


IMAGES: list[tuple[bytes, str]] = [
    (b"", "payload.image.image_bytes|payload.payload"),
    (b"not an image", "payload.image.image_bytes"),
    (drawn_images.draw(0).content[:300], "payload.image.image_bytes"),
]


@pytest.mark.parametrize(("image", "field"), IMAGES, ids=["empty", "text", "truncated"])
def test_an_image_that_is_none_is_refused_by_its_field(api, image, field):
    with pytest.raises(exceptions.BadRequest, match=field):
        api.prediction.predict(name=MODEL, payload={"image": {"image_bytes": image}})


# ---- lists --------------------------------------------------------------------------------------------------------------

LISTS: list[tuple[str, int, str]] = [
    ("gs://bad/none.csv", code_pb2.NOT_FOUND, "gs://bad/none.csv does not exist"),
    ("gs://nowhere/list.csv", code_pb2.NOT_FOUND, "there is no bucket 'nowhere'"),
    ("gs://bad/folder.csv", code_pb2.NOT_FOUND, "gs://bad/folder.csv does not exist"),
    ("gs://bad/empty.csv", code_pb2.INVALID_ARGUMENT, "BatchPredict could not start due to empty input CSV file."),
    ("gs://bad/blank.csv", code_pb2.INVALID_ARGUMENT, "BatchPredict could not start due to empty input CSV file."),
    ("gs://bad/binary.csv", code_pb2.INVALID_ARGUMENT, "gs://bad/binary.csv: this is a JPEG image"),
    ("gs://bad/nul.csv", code_pb2.INVALID_ARGUMENT, "gs://bad/nul.csv, line 1: this is not a text file"),
    ("gs://bad/link.csv", code_pb2.PERMISSION_DENIED, "gs://bad/link.csv leads out of its bucket"),
    ("gs://bad/linked/secret.csv", code_pb2.PERMISSION_DENIED, "gs://bad/linked/secret.csv leads out of its bucket"),
]


@pytest.mark.parametrize(("uri", "code", "text"), LISTS)
def test_a_list_that_cannot_be_used_ends_the_job_with_its_name(service, api, uri, code, text):
    before = _everything(service)
    operation = _batch(api, csv_uri=uri, output="gs://bad/never/")
    assert (operation.error.code, operation.HasField("response")) == (code, False)
    assert text in operation.error.message
    assert SECRET not in operation.error.message
    assert not any("never" in name for name in _everything(service) - before), "an empty job left files"


IMPORT_LISTS = [entry for entry in LISTS if "empty input CSV" not in entry[2]] + [
    ("gs://bad/empty.csv", code_pb2.INVALID_ARGUMENT, "gs://bad/empty.csv: there are no rows to import"),
]


@pytest.mark.parametrize(("uri", "code", "text"), IMPORT_LISTS)
def test_a_list_that_cannot_be_used_ends_the_import_with_its_name(api, uri, code, text):
    dataset = api.create_dataset()
    operation = api.finished(api.start_import(dataset, uri))
    assert operation.error.code == code
    assert text in operation.error.message
    assert SECRET not in operation.error.message


def test_an_import_of_mostly_bad_rows_imports_nothing_and_says_why(service, api):
    rows = ["TRAIN,gs://bad/good.jpg,car,0.1,0.1,,,0.5,0.5,,", "nonsense", "TRAIN,gs://bad/none.jpg"]
    uri = drawn_images.write_csv(service.bucket("bad"), "mostly.csv", rows)
    dataset = api.create_dataset()
    operation = api.finished(api.start_import(dataset, uri))
    assert operation.error.code == code_pb2.INVALID_ARGUMENT
    assert "2 of 3 rows failed, more than the limit of 50%; nothing was imported" in operation.error.message
    assert f"{uri}, line 2" in operation.error.message
    assert len(metadata(operation).partial_failures) == 2
    assert api.automl.get_dataset(name=dataset).example_count == 0


def test_an_output_bucket_that_is_not_there_ends_the_job_with_its_name(service, api):
    drawn_images.write_csv(service.bucket("bad"), "one.csv", ["gs://bad/good.jpg"])
    operation = _batch(api, csv_uri="gs://bad/one.csv", output="gs://nowhere/out/")
    assert operation.error.code == code_pb2.NOT_FOUND
    assert "there is no bucket 'nowhere'" in operation.error.message
    assert not (service.buckets / "nowhere").exists()


def test_an_output_that_leads_out_of_its_bucket_is_never_written(service, api):
    drawn_images.write_csv(service.bucket("bad"), "one.csv", ["gs://bad/good.jpg"])
    outside = service.buckets.parent / "outside"
    before = sorted(path.name for path in outside.iterdir())
    operation = _batch(api, csv_uri="gs://bad/one.csv", output="gs://bad/linked/out/")
    assert operation.error.code == code_pb2.PERMISSION_DENIED
    assert "leads out of its bucket" in operation.error.message
    assert sorted(path.name for path in outside.iterdir()) == before


# ---- images -------------------------------------------------------------------------------------------------------------

BAD_IMAGES: dict[str, tuple[Any, int]] = {  # by path: the file's content (None: no such file), and the code
    "gs://bad/missing.jpg": (None, code_pb2.NOT_FOUND),
    "gs://nowhere/a.jpg": (None, code_pb2.NOT_FOUND),
    "gs://bad/no/such/folder/a.jpg": (None, code_pb2.NOT_FOUND),
    "gs://bad/empty.jpg": (b"", code_pb2.INVALID_ARGUMENT),
    "gs://bad/truncated.jpg": (drawn_images.draw(0).content[:300], code_pb2.INVALID_ARGUMENT),
    "gs://bad/text.jpg": (b"hello", code_pb2.INVALID_ARGUMENT),
    "gs://bad/link.jpg": (None, code_pb2.PERMISSION_DENIED),
    "gs://bad/linked/secret.jpg": (None, code_pb2.PERMISSION_DENIED),
    "gs://bad/../outside/secret.jpg": (None, code_pb2.INVALID_ARGUMENT),
    "/etc/passwd": (None, code_pb2.INVALID_ARGUMENT),
    "file:///etc/passwd": (None, code_pb2.INVALID_ARGUMENT),
    "state://boxwright/metadata.sqlite": (None, code_pb2.INVALID_ARGUMENT),
}


def test_bad_images_become_error_lines_that_name_them_and_never_stop_the_job(service, api):
    bucket = service.bucket("bad")
    for uri, (content, _) in BAD_IMAGES.items():
        if content is not None:
            (bucket / uri.removeprefix("gs://bad/")).write_bytes(content)
    good = [f"gs://bad/good-{number}.jpg" for number in range(6)]
    for number, uri in enumerate(good):
        (bucket / uri.removeprefix("gs://bad/")).write_bytes(drawn_images.draw(number).content)
    rows = [*good[:3], *BAD_IMAGES, *good[3:]]
    operation = _batch(api, drawn_images.write_csv(bucket, "images.csv", rows), "gs://bad/images/")
    assert not operation.HasField("error"), operation.error
    seen = metadata(operation)
    folder = bucket / seen.batch_predict_details.output_info.gcs_output_directory.removeprefix("gs://bad/")
    lines = [json.loads(line) for line in (folder / "image_object_detection_1.jsonl").read_text().splitlines()]
    assert [line["ID"] for line in lines] == good
    failed = [json.loads(line) for line in (folder / "errors_1.jsonl").read_text().splitlines()]
    assert [line["ID"] for line in failed] == list(BAD_IMAGES)
    for line in failed:
        assert line["status"]["code"] == BAD_IMAGES[line["ID"]][1], line
        assert line["ID"] in line["status"]["message"]
        assert "Traceback" not in line["status"]["message"]
    assert [failure.message for failure in seen.partial_failures] == [line["status"]["message"] for line in failed]


def test_bad_images_of_an_import_are_listed_with_their_line(service, api):
    bucket = service.bucket("bad")
    (bucket / "text.jpg").write_bytes(b"hello")
    box = "car,0.1,0.1,,,0.5,0.5,,"
    good = [f"gs://bad/import-{number}.jpg" for number in range(4)]
    for number, uri in enumerate(good):
        (bucket / uri.removeprefix("gs://bad/")).write_bytes(drawn_images.draw(number).content)
    bad = ["gs://bad/text.jpg", "gs://bad/missing.jpg", "gs://bad/link.jpg"]
    rows = [f"TRAIN,{uri},{box}" for uri in [*good, *bad]]
    uri = drawn_images.write_csv(bucket, "bad-images.csv", rows)
    dataset = api.create_dataset()
    operation = api.finished(api.start_import(dataset, uri))
    assert not operation.HasField("error"), operation.error
    failures = metadata(operation).partial_failures
    assert [failure.code for failure in failures] == [3, 5, 7]
    for number, (failure, image) in enumerate(zip(failures, bad, strict=True), 5):
        assert failure.message.startswith(f"{uri}, line {number}: ")
        assert image in failure.message
    assert api.automl.get_dataset(name=dataset).example_count == 4


def test_an_expired_model_says_so_and_how_to_go_on(service, buckets, tiny_model, api):
    model_id = f"IOD60000000000000000{'1' if api.automl.transport.kind == 'grpc' else '2'}"
    name = tiny_model.install(service.data_dir, model_id, age_days=549)
    with pytest.raises(exceptions.BadRequest, match=f"The model {name} has expired: models predict for 548 days"):
        _batch(api, model=name)


def _everything(service) -> set[str]:
    return {str(path.relative_to(service.buckets)) for path in service.buckets.rglob("*")}
