"""Unmodified client code runs against the service with exactly the environment that `boxwright client-env` prints."""

from __future__ import annotations

import shutil
import sys

import pytest
from tests.support.services.env_service import EnvService

GRPC_SAMPLE = """
from google.cloud import automl

client = automl.AutoMlClient()
project_location = "projects/demo/locations/us-central1"
metadata = automl.ImageObjectDetectionDatasetMetadata()
dataset = automl.Dataset(display_name="salads", image_object_detection_dataset_metadata=metadata)
response = client.create_dataset(parent=project_location, dataset=dataset)
created_dataset = response.result()
print(f"Dataset id: {created_dataset.name.split('/')[-1]}")
print("Dataset ids:", [one.name.split("/")[-1] for one in client.list_datasets(request={"parent": project_location})])
"""

ASYNC_SAMPLE = """
import asyncio
from google.cloud import automl_v1

async def main():
    client = automl_v1.AutoMlAsyncClient()
    pager = await client.list_datasets(parent="projects/demo/locations/us-central1")
    print("Datasets:", len([one async for one in pager]))

asyncio.run(main())
"""

REST_SAMPLE = """
import sys
from google.auth import credentials
from google.cloud import automl_v1

client = automl_v1.AutoMlClient(
    transport="rest", credentials=credentials.AnonymousCredentials(), client_options={"api_endpoint": sys.argv[1]}
)
print("Datasets:", len(list(client.list_datasets(parent="projects/demo/locations/us-central1"))))
"""


@pytest.mark.parametrize("sample, expected", [(GRPC_SAMPLE, "Dataset id: IOD"), (ASYNC_SAMPLE, "Datasets: ")])
def test_samples_that_name_no_endpoint_reach_the_service(env_service: EnvService, sample: str, expected: str) -> None:
    done = env_service.run(sys.executable, "-W", "error::UserWarning", "-c", sample)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_the_rest_transport_trusts_the_authority(env_service: EnvService) -> None:
    done = env_service.run(sys.executable, "-c", REST_SAMPLE, env_service.url, universe=False)
    assert done.returncode == 0, done.stderr
    assert "Datasets: " in done.stdout


def test_curl_trusts_the_authority_that_it_is_given(env_service: EnvService) -> None:
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    url = f"{env_service.url}/v1/projects/demo/locations/us-central1/datasets"
    done = env_service.run(curl, "--silent", "--show-error", "--fail", "--cacert", str(env_service.authority), url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")


def test_without_the_environment_nobody_trusts_the_service(env_service: EnvService) -> None:
    program = "import sys, requests; requests.get(sys.argv[1] + '/readyz', timeout=20)"
    refused = env_service.run("env", "-u", "REQUESTS_CA_BUNDLE", sys.executable, "-c", program, env_service.url)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    welcome = env_service.run(sys.executable, "-c", program, env_service.url)
    assert welcome.returncode == 0, welcome.stderr
