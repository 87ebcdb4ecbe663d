"""Two services on one database and one data directory: a client may talk to either, and one may die."""

from __future__ import annotations

import contextlib

import grpc
import pytest
from google.api_core import exceptions
from google.rpc import code_pb2
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes.crashes import ENVIRONMENT

IMAGES = 8


@pytest.fixture
def start_replica(service_factory, postgres):
    """Starts one more service on the same database and files."""
    url = postgres.new_database()
    environment = {**ENVIRONMENT, "BOXWRIGHT_DATABASE_URL": url, "BOXWRIGHT_LEASE_TTL_S": "2"}

    def start(**flags: object):
        return service_factory(environment=environment, **flags)

    start.url = url
    return start


def _predicts(api: Api, model: str, image: bytes) -> int | None:
    """How many boxes a replica finds; None if it says that the model is not deployed."""
    try:
        found = api.prediction.predict(name=model, payload={"image": {"image_bytes": image}})
    except exceptions.FailedPrecondition as error:
        assert "not deployed" in error.message
        return None
    return len(found.payload)


@pytest.mark.full
def test_a_client_talks_to_either_of_two_and_goes_on_when_one_is_killed(start_replica, tiny_model: TinyModel):
    first, second = start_replica(), start_replica()
    bucket = first.bucket("b")
    listed = drawn_images.write_dataset(bucket, 4)
    images = drawn_images.write_images(bucket / "images", IMAGES)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{image}" for image in images])
    image = (bucket / "images" / images[0]).read_bytes()
    model = tiny_model.install(first.data_dir, database_url=start_replica.url)
    with contextlib.ExitStack() as opened:
        one, other = (opened.enter_context(open_api(service)) for service in (first, second))
        dataset = one.create_dataset()
        assert not one.finished(other.start_import(dataset, listed)).HasField("error")
        assert one.automl.get_dataset(name=dataset).example_count == 4

        assert [_predicts(api, model, image) for api in (one, other)] == [None, None]
        one.deploy(model)
        counts = [_predicts(api, model, image) for api in (other, one)]
        assert counts[0] == counts[1] is not None
        other.automl.undeploy_model(name=model).result()
        assert [_predicts(api, model, image) for api in (one, other)] == [None, None]
        other.deploy(model)
        assert _predicts(one, model, image) == counts[0]

        started = one.start_batch(model, "gs://b/list.csv", "gs://b/one/", score_threshold="0.3")
        assert not other.finished(started).HasField("error")
        waiting = other.start_batch(model, "gs://b/list.csv", "gs://b/two/", score_threshold="0.3")
        other.cancel(waiting)
        assert one.finished(waiting).error.code in (code_pb2.OK, code_pb2.CANCELLED)

        left = other.start_batch(model, "gs://b/list.csv", "gs://b/three/", score_threshold="0.3")
        first.kill()
        assert not other.finished(left).HasField("error")
        assert _predicts(other, model, image) == counts[0]
        for folder in ("one", "three"):
            assert (bucket / folder).is_dir()
        other.delete(left)
        with pytest.raises(grpc.RpcError) as refused:
            other.get(left)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
