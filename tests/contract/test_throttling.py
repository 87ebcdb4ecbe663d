"""Stores that say that they are called too often: whole jobs wait for them, lose nothing, and can be stopped meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pathlib
import time
from collections.abc import Iterator

import pytest
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import promptly, wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.stores import object_servers, rough_proxy
from tests.support.stores.object_servers import BUCKET

from boxwright import objects

IMAGES = 12
RETRY_S = 4.0  # half of it is the longest silence, which a busy machine may need
AWAY_S = 1.2 * RETRY_S
CALLS_BEFORE = 20


@dataclasses.dataclass
class World:
    """A service with little patience, whose lists, images and results are in S3 behind a rough proxy."""

    service: object
    model: str
    proxy: rough_proxy.RoughProxy
    stores: objects.Stores

    def results(self, api: Api, name: str) -> dict[str, bytes]:
        """The result files of a job at its end; it has ended well and without an error line."""
        operation = api.finished(name, timeout_s=120)
        self.proxy.always(None)
        assert not operation.HasField("error"), operation.error
        folder = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        found = {
            info.uri.key.rpartition("/")[2]: info.uri for info in self.stores.list(objects.ObjectUri.parse(folder))
        }
        assert not any(file.startswith("errors") for file in found)
        return {file: self.stores.get(uri) for file, uri in found.items() if file.endswith((".jsonl", ".parquet"))}


@pytest.fixture
def world(service_factory, tiny_model: TinyModel, tmp_path: pathlib.Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(object_servers.moto())
        proxy = stack.enter_context(rough_proxy.before(server.address))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in server.environment(server.address).items():
            patch.setenv(name, value)
        stores = objects.Stores(tmp_path / "none", tmp_path / "none", objects.StoreConfig(schemes=("s3",)))
        for number in range(IMAGES):
            stores.put(objects.ObjectUri("s3", BUCKET, f"in/{number:02}.jpg"), drawn_images.draw(number).content)
        environment = {
            **server.environment(proxy.address),
            "BOXWRIGHT_SCHEMES": "s3",
            "BOXWRIGHT_STORAGE_RETRY_S": str(RETRY_S),
            "BOXWRIGHT_STATE_URI": f"s3://{BUCKET}/state/",
            "BOXWRIGHT_SHARD_IMAGES": "4",
            "BOXWRIGHT_HOLD_S": "0",
        }
        service = service_factory(environment=environment)
        yield World(service, tiny_model.install(service.data_dir), proxy, stores)


class Storm:
    """Throttles each third request of each kind, and for a while, after the first few, every one."""

    def __init__(self, proxy: rough_proxy.RoughProxy) -> None:
        self._proxy = proxy
        self._kinds = itertools.cycle((503, 429))
        self._until_s = 0.0
        proxy.seen.clear()
        proxy.troubled.clear()
        proxy.trouble = self

    def __call__(self, method: str) -> rough_proxy.Trouble:
        if len(self._proxy.seen) == CALLS_BEFORE:
            self._until_s = time.monotonic() + AWAY_S
        is_away = time.monotonic() < self._until_s
        return next(self._kinds) if is_away or self._proxy.seen.count(method) % 3 == 0 else None


@pytest.mark.full
def test_work_waits_for_a_store_that_is_called_too_often_and_its_results_are_the_same(world):
    rows = "".join(f"TRAIN,s3://{BUCKET}/in/{n:02}.jpg,car,0.1,0.1,,,0.9,0.9,,\n" for n in range(4))
    world.stores.put(objects.ObjectUri("s3", BUCKET, "import.csv"), rows.encode())
    with open_api(world.service) as api:
        calm = world.results(api, api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/calm/"))
        dataset = api.create_dataset()

        Storm(world.proxy)
        batch = api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/out/")
        imported = api.finished(api.start_import(dataset, f"s3://{BUCKET}/import.csv"))
        assert not imported.HasField("error"), imported.error
        assert not metadata(imported).partial_failures
        output = {"gcs_destination": {"output_uri_prefix": f"s3://{BUCKET}/exported/"}}
        exported = api.finished(api.automl.export_data(name=dataset, output_config=output).operation.name)
        assert not exported.HasField("error"), exported.error
        assert world.results(api, batch) == calm
        assert {"GET", "PUT", "HEAD"} <= set(world.proxy.troubled)

        stopped = api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/stopped/")
        world.proxy.refused["/in/"] = 503
        wait_until(lambda: api.progress(stopped).get("waits_for") == f"s3://{BUCKET}", "the job to name the bucket")
        with promptly(5):
            api.cancel(stopped)
            assert api.finished(stopped).error.code == code_pb2.CANCELLED
