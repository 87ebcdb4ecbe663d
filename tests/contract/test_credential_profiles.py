"""Tenants' own cloud credentials: an S3 server with accounts, and a service whose projects have profiles.

The bucket ``aaa`` belongs to the account of project demo, ``bbb`` to that of project other, ``own`` to the service itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import Service
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.stores import object_servers

from boxwright import objects

IMAGES = 4
OTHER = "projects/other/locations/us-central1"


@dataclasses.dataclass
class Tenants:
    """The S3 server, its accounts and the profiles of the service."""

    folder: pathlib.Path
    address: str
    owners: dict[str, str]  # key id → bucket

    def secret(self, key: str) -> str:
        """The secret of a key."""
        return f"{key}-SECRET-d41d8cd98f00b204"

    def set_owners(self, **owners: str) -> None:
        """Says which key reaches which bucket."""
        self.owners = owners
        accounts = {key: {"secret": self.secret(key), "buckets": [bucket]} for key, bucket in owners.items()}
        draft = self.folder / "accounts.part"
        draft.write_text(json.dumps(accounts))
        draft.replace(self.folder / "accounts.json")

    def write_profile(self, name: str, key: str, folders: str, projects: str) -> None:
        """Writes a profile, as an operator would."""
        draft = self.folder / "credentials" / f"{name}.part"
        draft.touch(0o600)
        draft.write_text(
            f"# {name}\nFOLDERS={folders}\nPROJECTS={projects}\nAWS_REGION=us-east-1\nAWS_ENDPOINT_URL={self.address}\n"
            f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY='{self.secret(key)}'\n"
        )
        draft.replace(draft.with_suffix(".env"))

    def stores(self, project: str) -> objects.Stores:
        """Stores with the profiles of a project."""
        choices = objects.StoreConfig(schemes=("gs", "s3"), credentials_dir=str(self.folder / "credentials"))
        return objects.Stores(self.folder / "buckets", self.folder / "state", choices).of_project(project)


@pytest.fixture
def tenants(tmp_path: pathlib.Path) -> Iterator[Tenants]:
    (tmp_path / "credentials").mkdir(0o700)
    found = Tenants(tmp_path, "", {})
    found.set_owners(**{"key-a": "aaa", "key-b": "bbb", "key-own": "own"})
    with object_servers.moto_with_accounts(tmp_path / "accounts.json") as address:
        found.address = address
        found.write_profile("tenant-a", "key-a", "s3://aaa/", "demo")
        found.write_profile("tenant-b", "key-b", "s3://bbb/", "other")
        for bucket, project in (("aaa", "demo"), ("bbb", "other")):
            _make_bucket(found, bucket, project)
        yield found


def _make_bucket(tenants: Tenants, bucket: str, project: str) -> None:
    """Makes a bucket with images, as the account that it belongs to."""
    boto3 = pytest.importorskip("boto3", reason="moto is not installed")
    key = next(key for key, owned in tenants.owners.items() if owned == bucket)
    client = boto3.client(
        "s3", endpoint_url=tenants.address, aws_access_key_id=key, aws_secret_access_key=tenants.secret(key),
        region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket=bucket)
    stores = tenants.stores(project)
    for number in range(IMAGES):
        image = objects.ObjectUri.parse(f"s3://{bucket}/in/{number}.jpg")
        stores.put(image, drawn_images.draw(number + (10 if bucket == "bbb" else 0)).content)


def _list(tenants: Tenants, name: str, rows: list[str]) -> str:
    tenants.stores("demo").put(
        objects.ObjectUri.parse(f"s3://aaa/{name}"), "".join(f"{row}\n" for row in rows).encode()
    )
    return f"s3://aaa/{name}"


@pytest.fixture
def service(tenants: Tenants, service_factory: Callable[..., Service], tiny_model: TinyModel) -> Service:
    """A service with credentials of its own in the environment, for the bucket ``own``."""
    environment = {
        "BOXWRIGHT_SCHEMES": "gs,s3",
        "BOXWRIGHT_CREDENTIALS_DIR": str(tenants.folder / "credentials"),
        "BOXWRIGHT_TUNE": "false",
        "BOXWRIGHT_HOLD_S": "0",
        "AWS_ENDPOINT_URL": tenants.address,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key-own",
        "AWS_SECRET_ACCESS_KEY": tenants.secret("key-own"),
        "AWS_SESSION_TOKEN": "of the service alone",
    }
    running = service_factory(environment=environment)
    tiny_model.install(running.data_dir)
    return running


def _results(tenants: Tenants, operation: Any) -> dict[str, bytes]:
    directory = metadata(operation).batch_predict_details.output_info.gcs_output_directory
    stores = tenants.stores("demo")
    found = list(stores.list(objects.ObjectUri.parse(directory)))
    return {info.uri.key.rpartition("/")[2]: stores.get(info.uri) for info in found}


def _batch(api: Api, uri: str) -> Any:
    name = "projects/demo/locations/us-central1/models/IOD4412217016962778756"
    return api.finished(api.start_batch(name, uri, "s3://aaa/out/", score_threshold="0.3"), timeout_s=120)


def test_work_uses_the_profile_of_its_project_and_folder_and_no_other(tenants: Tenants, service: Service) -> None:
    images = [f"s3://aaa/in/{number}.jpg" for number in range(IMAGES)]
    foreign = "s3://bbb/in/0.jpg"
    with open_api(service) as api:
        operation = _batch(api, _list(tenants, "list.csv", [*images, foreign]))
        assert not operation.HasField("error"), operation.error
        files = _results(tenants, operation)
        assert files["image_object_detection_1.jsonl"].count(b"\n") == IMAGES
        (line,) = files["errors_1.jsonl"].decode().splitlines()
        assert '"code":7' in line.replace(" ", "") and foreign in line

        dataset = api.create_dataset("ours")
        rows = [f"UNASSIGNED,{image},thing,0.1,0.1,,,0.5,0.5,," for image in images]
        imported = api.finished(
            api.start_import(dataset, _list(tenants, "import.csv", [*rows, f"UNASSIGNED,{foreign},,,,,,,,,"]))
        )
        assert not imported.HasField("error"), imported.error
        (failure,) = metadata(imported).partial_failures
        assert (failure.code, foreign in failure.message) == (7, True)
        assert api.automl.get_dataset(name=dataset).example_count == IMAGES
        _no_secret_is_told(tenants, service)

        of_other = api.automl.create_dataset(
            parent=OTHER, dataset={"display_name": "theirs", "image_object_detection_dataset_metadata": {}}
        ).result(timeout=30)
        refused = api.finished(api.start_import(of_other.name, "s3://aaa/import.csv"))
        assert refused.error.code == 7, "the profile of demo is not used for the work of another project"

        tenants.set_owners(**{"key-a2": "aaa", "key-b": "bbb", "key-own": "own"})
        assert _batch(api, "s3://aaa/list.csv").error.code == 7, "the old key is not taken any more"
        tenants.write_profile("tenant-a", "key-a2", "s3://aaa/", "demo")
        wait_until(
            lambda: not _batch(api, "s3://aaa/list.csv").HasField("error"), "the new key to be used without a restart"
        )


def _no_secret_is_told(tenants: Tenants, service: Service) -> None:
    """No secret of a profile is in a file of the service, its log, a command line or an environment."""
    secrets = [tenants.secret("key-a").encode(), tenants.secret("key-b").encode()]
    places = [path for path in service.data_dir.rglob("*") if path.is_file()]
    for pid in _family(service.process.pid):
        places += [pathlib.Path(f"/proc/{pid}/cmdline"), pathlib.Path(f"/proc/{pid}/environ")]
    for place in (service.log, *places):
        content = place.read_bytes()
        assert not any(secret in content for secret in secrets), place
    assert sum("environ" in str(place) for place in places) >= 2, "the inference child is among them"


def _family(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for path in children for child in path.read_text().split()]
    return [pid, *(one for child in found for one in _family(child))]


def test_the_environment_of_the_service_does_not_leak_into_a_profile(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = objects.ObjectUri.parse("s3://aaa/in/0.jpg")
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SESSION_TOKEN": "of the service",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    assert tenants.stores("demo").get(uri) == drawn_images.draw(0).content
    assert os.environ["AWS_SESSION_TOKEN"] not in repr(tenants.stores("demo").profiles)
