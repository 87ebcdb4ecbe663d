"""Stores that fail under running work: one image's trouble stays its own, the store's ends the work with a reason."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator

import pytest
from google.rpc import code_pb2
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import promptly, wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.stores import object_servers, rough_proxy
from tests.support.stores.object_servers import BUCKET

from boxwright import objects

IMAGES = 60
PATIENT = {"BOXWRIGHT_STORAGE_RETRY_S": "120"}  # far longer than a cancelled operation may take
IMPATIENT = {"BOXWRIGHT_STORAGE_RETRY_S": "4"}  # half of it is the longest silence, which a busy machine may need


@dataclasses.dataclass
class World:
    """A service whose images are in a bucket behind a rough proxy, and whose lists are in an allowed folder."""

    service: object
    model: str
    proxy: rough_proxy.RoughProxy
    local: pathlib.Path

    def write(self, name: str, rows: list[str]) -> str:
        (self.local / name).write_text("".join(row + "\n" for row in rows))
        return f"file://{self.local}/{name}"

    def write_list(self) -> str:
        return self.write("list.csv", [f"gs://{BUCKET}/images/{number:04d}.jpg" for number in range(IMAGES)])

    @property
    def out(self) -> str:
        return f"file://{self.local}/out/"

    def results(self) -> pathlib.Path:
        (folder,) = (self.local / "out").iterdir()
        return folder


@pytest.fixture
def world(request, service_factory, tiny_model: TinyModel, tmp_path) -> Iterator[World]:
    local = tmp_path / "local"
    local.mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(object_servers.double_of_gcs())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in server.environment(server.address).items():
            patch.setenv(name, value)
        stores = objects.Stores(tmp_path, tmp_path / "unused", objects.StoreConfig(gs="cloud"))
        for number in range(IMAGES):
            uri = objects.ObjectUri("gs", BUCKET, f"images/{number:04d}.jpg")
            stores.put(uri, drawn_images.draw(number).content)
        proxy = stack.enter_context(rough_proxy.before(server.address))
        environment = {
            **crashes.ENVIRONMENT,
            **request.param,
            **server.environment(proxy.address),
            "BOXWRIGHT_GS": "cloud",
            "BOXWRIGHT_SHARD_IMAGES": "10",
            "BOXWRIGHT_FILE_ROOTS": str(local),
        }
        service = service_factory(environment=environment)
        yield World(service, tiny_model.install(service.data_dir), proxy, local)


@pytest.mark.parametrize("world", [IMPATIENT], indirect=True, ids=["impatient"])
def test_a_store_of_images_that_is_down_ends_the_batch_once_instead_of_every_image(world):
    world.proxy.always(500)
    with open_api(world.service) as api:
        operation = api.finished(api.start_batch(world.model, world.write_list(), world.out), timeout_s=100)
    assert operation.error.code == code_pb2.UNAVAILABLE
    assert f"gs://{BUCKET} cannot be read now" in operation.error.message
    assert not list(world.local.glob("out/*/*")), "images of a store that is down were written off"


@pytest.mark.parametrize("world", [IMPATIENT], indirect=True, ids=["impatient"])
def test_one_image_that_cannot_be_reached_is_one_error_line_that_another_job_may_mend(world):
    world.proxy.refused["0007.jpg"] = 500
    with open_api(world.service) as api:
        operation = api.finished(api.start_batch(world.model, world.write_list(), world.out), timeout_s=100)
    assert not operation.HasField("error"), operation.error
    (line,) = (world.results() / "errors_1.jsonl").read_text().splitlines()
    assert (json.loads(line)["ID"], json.loads(line)["status"]["code"]) == (f"gs://{BUCKET}/images/0007.jpg", 14)


@pytest.mark.parametrize("world", [IMPATIENT], indirect=True, ids=["impatient"])
@pytest.mark.parametrize(
    "status, code, words",
    [(403, code_pb2.PERMISSION_DENIED, "may not be accessed"), (507, code_pb2.UNAVAILABLE, "cannot be reached now")],
    ids=["permission lost", "storage full"],
)
def test_an_output_that_refuses_writes_midway_fails_the_batch_with_the_reason(world, status, code, words):
    world.proxy.trouble = lambda method: status if method == "PUT" and world.proxy.seen.count("PUT") >= 2 else None
    with open_api(world.service) as api:
        name = api.start_batch(world.model, world.write_list(), f"gs://{BUCKET}/out/")
        operation = api.finished(name, timeout_s=100)
    assert operation.error.code == code
    directory = metadata(operation).batch_predict_details.output_info.gcs_output_directory
    assert directory in operation.error.message and words in operation.error.message


@pytest.mark.parametrize("world", [PATIENT], indirect=True, ids=["patient"])
@pytest.mark.parametrize("kind", ["import", "export"])
def test_a_cancel_ends_work_that_waits_for_a_silent_store_within_five_seconds(world, kind):
    images = [f"TRAIN,gs://{BUCKET}/images/{number:04d}.jpg,car,0.1,0.1,,,0.9,0.9,," for number in range(IMAGES)]
    uri = world.write("import.csv", images)
    with open_api(world.service) as api:
        dataset = api.create_dataset()
        if kind == "export":
            assert not api.finished(api.start_import(dataset, uri)).HasField("error")
        world.proxy.always("silence")
        if kind == "import":
            name = api.start_import(dataset, uri)
        else:
            output = {"gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/exported/"}}
            name = api.automl.export_data(name=dataset, output_config=output).operation.name
        wait_until(lambda: world.proxy.seen, "the work to wait for the store")
        with promptly(5):
            api.cancel(name)
            assert api.finished(name).error.code == code_pb2.CANCELLED
