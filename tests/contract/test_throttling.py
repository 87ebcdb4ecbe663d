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

IMAGES = 24
RETRY_S = 0.5
AWAY_S = 3 * RETRY_S


@dataclasses.dataclass
class World:
    """A service with little patience, whose lists, images and results are in S3 behind a rough proxy."""

    service: object
    model: str
    proxy: rough_proxy.RoughProxy
    stores: objects.Stores

    def results(self, api: Api, name: str, output: str) -> dict[str, bytes]:
        """The result files of a job at its end; it has ended well and without an error line."""
        operation = api.finished(name, timeout_s=120)
        self.proxy.always(None)
        assert not operation.HasField("error"), operation.error
        folder = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        assert folder.startswith(output)
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
            "BOXWRIGHT_SHARD_IMAGES": "8",
            "BOXWRIGHT_HOLD_S": "0",
        }
        service = service_factory(environment=environment)
        yield World(service, tiny_model.install(service.data_dir), proxy, stores)


def test_a_job_waits_for_a_store_that_is_called_too_often_and_its_results_are_the_same(world):
    with open_api(world.service) as api:
        calm = world.results(api, api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/calm/"), "")

        name = api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/share/")
        world.proxy.throttle(60, 5)
        assert world.results(api, name, f"s3://{BUCKET}/share/") == calm
        assert {"GET", "PUT"} <= set(world.proxy.troubled)

        name = api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/away/")
        kinds, until_s = itertools.cycle((503, 429)), []

        def away(method: str) -> rough_proxy.Trouble:
            if not until_s and len(world.proxy.seen) < IMAGES:
                return None
            until_s.append(time.monotonic() + AWAY_S)
            return next(kinds) if time.monotonic() < until_s[0] else None

        world.proxy.trouble = away
        assert world.results(api, name, f"s3://{BUCKET}/away/") == calm

        name = api.start_batch(world.model, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/stopped/")
        world.proxy.always(503)
        wait_until(lambda: api.progress(name).get("waits_for") == f"s3://{BUCKET}", "the job to name the bucket")
        with promptly(5):
            api.cancel(name)
            assert api.finished(name).error.code == code_pb2.CANCELLED
