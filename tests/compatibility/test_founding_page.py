"""The founding page's own samples: its Python code as it stands, and its curl commands, against a service behind TLS."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.predictions import tiny_model
from tests.support.services.tls_service import TlsService, run_tls_service

PROJECT, MODEL = "demo", tiny_model.MODEL_ID

BATCH_PREDICT = """\
from google.cloud import automl

# TODO(developer): Uncomment and set the following variables
# project_id = "YOUR_PROJECT_ID"
# model_id = "YOUR_MODEL_ID"
# input_uri = "gs://YOUR_BUCKET_ID/path/to/your/input/csv_or_jsonl"
# output_uri = "gs://YOUR_BUCKET_ID/path/to/save/results/"

prediction_client = automl.PredictionServiceClient()

# Get the full path of the model.
model_full_id = f"projects/{project_id}/locations/us-central1/models/{model_id}"

gcs_source = automl.GcsSource(input_uris=[input_uri])

input_config = automl.BatchPredictInputConfig(gcs_source=gcs_source)
gcs_destination = automl.GcsDestination(output_uri_prefix=output_uri)
output_config = automl.BatchPredictOutputConfig(gcs_destination=gcs_destination)

response = prediction_client.batch_predict(
    name=model_full_id, input_config=input_config, output_config=output_config
)

print("Waiting for operation to complete...")
print(
    f"Batch Prediction results saved to Cloud Storage bucket. {response.result()}"
)
"""

OPERATION_STATUS = """\
from google.cloud import automl

# TODO(developer): Uncomment and set the following variables
# operation_full_id = \\
#     "projects/[projectId]/locations/us-central1/operations/[operationId]"

client = automl.AutoMlClient()
# Get the latest state of a long-running operation.
response = client._transport.operations_client.get_operation(operation_full_id)

print(f"Name: {response.name}")
print("Operation details:")
print(response)
"""

REQUEST = """\
{
  "inputConfig": {
    "gcsSource": {
       "inputUris": [ "INPUT_STORAGE_PATH" ]
    }
  },
  "outputConfig": {
    "gcsDestination": {
      "outputUriPrefix": "OUTPUT_STORAGE_BUCKET"
    }
  },
  "params": {
    "score_threshold": "0.0"
  }
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: tiny_model.TinyModel):
    with run_tls_service(tmp_path_factory.mktemp("tls")) as running:
        bucket = running.bucket("my-bucket")
        names = drawn_images.write_images(bucket / "images", 5)
        rows = [f"gs://my-bucket/images/{name}" for name in [*names, "missing.jpg"]]
        drawn_images.write_csv(bucket, "path/batch_prediction.csv", rows)
        tiny_model.install(running.data_dir)
        yield running


def _run_python(service: TlsService, sample: str, variables: dict[str, str]) -> str:
    """Runs a sample as a program of its own, with only the variables set that it asks for."""
    program = "".join(f"{name} = {value!r}\n" for name, value in variables.items()) + sample
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        env=service.client_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _results(service: TlsService, prefix: str) -> tuple[list[dict], list[dict]]:
    """The lines of the two families of files in the one prediction folder below a prefix."""
    (folder,) = (service.bucket("my-bucket") / prefix).glob("prediction-*")
    families = []
    for name in ("image_object_detection_1.jsonl", "errors_1.jsonl"):
        families.append([json.loads(line) for line in (folder / name).read_text().splitlines()])
    return families[0], families[1]


def test_the_python_samples_run_unmodified_over_tls(service):
    output = _run_python(
        service,
        BATCH_PREDICT,
        {
            "project_id": PROJECT,
            "model_id": MODEL,
            "input_uri": "gs://my-bucket/path/batch_prediction.csv",
            "output_uri": "gs://my-bucket/python/",
        },
    )
    assert "Waiting for operation to complete...\n" in output
    assert "Batch Prediction results saved to Cloud Storage bucket." in output
    predicted, failed = _results(service, "python")
    assert [line["ID"][-8:] for line in predicted] == [f"{number:04d}.jpg" for number in range(5)]
    assert [line["status"]["code"] for line in failed] == [5]
    assert all(
        one["image_object_detection"]["score"] >= 0.5 for line in predicted for one in line["annotations"]
    )  # the default threshold


def _curl(service: TlsService, *arguments: str, cwd: pathlib.Path | None = None) -> dict:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "--silent", "--show-error", "--cacert", str(service.folder / "cert.pem"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _get(service: TlsService, path: str) -> dict:
    return _curl(
        service,
        "-X", "GET",
        "-H", "Authorization: Bearer ya29.an-access-token",
        "-H", "x-goog-user-project: demo",
        f"{service.url}/v1/{path}",
    )  # fmt: skip


def _post(service: TlsService, folder: pathlib.Path, body: str) -> dict:
    (folder / "request.json").write_text(body)
    return _curl(
        service,
        "-X", "POST",
        "-H", "Authorization: Bearer ya29.an-access-token",
        "-H", "x-goog-user-project: demo",
        "-H", "Content-Type: application/json; charset=utf-8",
        "-d", "@request.json",
        f"{service.url}/v1/projects/{PROJECT}/locations/us-central1/models/{MODEL}:batchPredict",
        cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def posted(service, tmp_path_factory) -> dict:
    """The answer to the page's first curl command."""
    body = REQUEST.replace("INPUT_STORAGE_PATH", "gs://my-bucket/path/batch_prediction.csv")
    return _post(
        service, tmp_path_factory.mktemp("curl"), body.replace("OUTPUT_STORAGE_BUCKET", "gs://my-bucket/curl/")
    )


def test_the_first_curl_command_is_answered_as_the_page_shows(posted):
    assert re.fullmatch(r"projects/demo/locations/us-central1/operations/IOD[1-9]\d{0,18}", posted["name"])
    assert posted["metadata"]["@type"] == "type.googleapis.com/google.cloud.automl.v1.OperationMetadata"
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    assert re.fullmatch(stamp, posted["metadata"]["createTime"])
    assert re.fullmatch(stamp, posted["metadata"]["updateTime"])
    assert posted["metadata"]["batchPredictDetails"] == {
        "inputConfig": {"gcsSource": {"inputUris": ["gs://my-bucket/path/batch_prediction.csv"]}}
    }
    assert not posted.get("done")


def test_the_second_curl_command_is_answered_as_the_page_shows(service, posted):
    operation = wait_until(
        lambda: seen if (seen := _get(service, posted["name"])).get("done") else None, "the operation's end"
    )
    assert operation["name"] == posted["name"]
    assert operation["done"] is True
    assert operation["response"]["@type"] == "type.googleapis.com/google.cloud.automl.v1.BatchPredictResult"
    assert "error" not in operation
    assert operation["metadata"]["updateTime"] > operation["metadata"]["createTime"]
    directory = operation["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    assert re.fullmatch(
        r"gs://my-bucket/curl/prediction-tiny-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", directory
    )  # no slash at its end
    predicted, failed = _results(service, "curl")
    assert [len(predicted), len(failed)] == [5, 1]
    lowest = min(one["image_object_detection"]["score"] for line in predicted for one in line["annotations"])
    assert lowest < 0.5, "the threshold of the request was not used"


def test_the_operation_sample_prints_the_operation(service, posted):
    output = _run_python(service, OPERATION_STATUS, {"operation_full_id": posted["name"]})
    assert output.startswith(f"Name: {posted['name']}\nOperation details:\n")
    assert "google.cloud.automl.v1.OperationMetadata" in output


def test_an_error_over_curl_has_the_documented_form(service):
    answer = _get(service, f"projects/{PROJECT}/locations/us-central1/operations/IOD1")
    assert answer["error"]["code"] == 404
    assert answer["error"]["status"] == "NOT_FOUND"
    assert "not found" in answer["error"]["message"]
