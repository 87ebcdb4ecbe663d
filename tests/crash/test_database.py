"""The metadata database is killed under a running batch: requests are told so, and the work goes on when it is back."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request

import grpc
import pytest
import sqlalchemy as sa
from tests.support.clients.api import PARENT, open_api
from tests.support.databases import postgres as servers
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, contents, stats, whole_shards

from boxwright.metadata import database
from boxwright.metadata.schema import operations

IMAGES, SHARDS = 1200, 24  # fifty images each
LONG_S, SHORT_S = 4.0, 0.2  # longer and shorter than the lease, which is two seconds
SENTENCE = "The metadata database"


@pytest.fixture
def cluster():
    """A server of this test's own; what it has committed outlives its processes."""
    try:
        with servers.running(synchronous_commit="on") as cluster:
            yield cluster
    except servers.Missing as missing:
        pytest.skip(str(missing))


def _assert_requests_are_told(service, api, name: str) -> None:
    for call in (api.get, api.progress, api.cancel, api.resume):
        with pytest.raises(grpc.RpcError) as caught:
            call(name)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert caught.value.details().startswith(SENTENCE)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{service.url}/v1/{PARENT}/models", timeout=30)
    answer = json.load(refused.value)["error"]
    assert (refused.value.code, answer["status"]) == (503, "UNAVAILABLE")
    assert answer["message"].startswith(SENTENCE)


def _wait_for_operation(api, name: str, outcomes: list) -> None:
    try:
        outcomes.append(api.finished(name).done)
    except grpc.RpcError as error:
        outcomes.append(error.code())


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(
    "has_worker_of_its_own, outage_s",
    [
        pytest.param(True, LONG_S, id="serve"),
        pytest.param(False, LONG_S, id="worker"),
        pytest.param(True, SHORT_S, id="serve, back at once"),
    ],
)
def test_a_database_that_is_killed_and_started_again_costs_a_batch_nothing(
    service_factory, start_worker, tiny_model: TinyModel, cluster, has_worker_of_its_own, outage_s
):
    url = cluster.new_database()
    environment = {**ENVIRONMENT, "BOXWRIGHT_DATABASE_URL": url, "BOXWRIGHT_LEASE_TTL_S": "2"}
    service = service_factory(environment=environment, **({} if has_worker_of_its_own else {"no_worker": True}))
    bucket = service.bucket("b")
    images = drawn_images.write_images(bucket / "images", IMAGES)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{image}" for image in images])
    model = tiny_model.install(service.data_dir, database_url=url)
    running = [service] if has_worker_of_its_own else [service, start_worker(service, environment)]
    with open_api(service) as api:
        name = api.start_batch(model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3")
        outcomes: list = []
        waiter = threading.Thread(target=_wait_for_operation, args=(api, name, outcomes))
        waiter.start()
        folder = wait_until(lambda: crashes.result_folder(bucket, "out"), "the folder", timeout_s=60, interval_s=0.005)
        wait_until(lambda: len(whole_shards(folder)) >= 3, "three shards", timeout_s=60, interval_s=0.005)
        cluster.kill()
        back = threading.Timer(outage_s, cluster.start)
        back.start()
        try:
            before = {shard: stats(folder)[shard] for shard in whole_shards(folder)}
            if outage_s == LONG_S:
                _assert_requests_are_told(service, api, name)
            assert all(each.process.poll() is None for each in running)
        finally:
            back.join()
        operation = api.finished(name)
        assert not operation.HasField("error"), operation.error
        waiter.join()
        assert outcomes in ([True], [grpc.StatusCode.UNAVAILABLE])
        after = stats(folder)
        assert {shard: after[shard] for shard in before} == before
        calm = api.start_batch(model, "gs://b/list.csv", "gs://b/calm/", score_threshold="0.3")
        assert not api.finished(calm).HasField("error")
    assert contents(folder) == contents(crashes.result_folder(bucket, "calm"))
    assert len(whole_shards(folder)) == SHARDS
    assert all(each.process.poll() is None for each in running)
    for each in running:
        _, traceback, rest = each.log.read_text().partition("Traceback")
        assert not traceback, rest
    db = database.Database(url)
    with db.read() as connection:
        states = set(connection.execute(sa.select(operations.c.state)).scalars())
    db.close()
    assert states == {"SUCCEEDED"}
    crashes.assert_tidy(service.data_dir)
