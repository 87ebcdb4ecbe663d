"""A service whose batch predictions are done by a cluster: official client, real cluster, the bytes of one machine."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.clients.api import open_api
from tests.support.clusters import ray_cluster
from tests.support.clusters.ray_cluster import RayCluster
from tests.support.images import drawn_images
from tests.support.machine import ports
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import contents, whole_shards

DRIVER = "boxwright.cluster.driver_main"
IMAGES = 400


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster.running(nodes=2) as cluster:
        yield cluster


@pytest.fixture
def environment(cluster: RayCluster) -> dict[str, str]:
    return crashes.ENVIRONMENT | cluster.environment | {"BOXWRIGHT_RAY_ADDRESS": cluster.address}


def _listed(bucket: pathlib.Path) -> str:
    images = drawn_images.write_images(bucket / "images", IMAGES)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{image}" for image in [*images, "missing.jpg"]])
    return "gs://b/list.csv"


def _hosts(port: int) -> tuple[float, float]:
    """How many hosts the metrics of a process tell: those that are there, and those that are wanted."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=20).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    told = {sample.name: sample.value for sample in samples}
    return told["boxwright_hosts"], told["boxwright_hosts_wanted"]


@pytest.mark.full
def test_a_batch_over_a_cluster_loses_a_node_and_its_driver_and_nothing_else(
    service_factory, environment, cluster, tiny_model: TinyModel
):
    service = service_factory(environment=environment)
    bucket = service.bucket("b")
    listed, model = _listed(bucket), tiny_model.install(service.data_dir)
    with open_api(service) as api:
        name = api.start_batch(model, listed, "gs://b/out/", score_threshold="0.3")
        folder = wait_until(lambda: crashes.result_folder(bucket, "out"), "the folder", timeout_s=60)
        wait_until(lambda: len(whole_shards(folder)) >= 1, "a shard", timeout_s=120)
        cluster.kill_node(0)
        cluster.add_node()
        (driver,) = crashes.children_of(service.process.pid, DRIVER)
        driver.kill()
        ended = api.finished(name, timeout_s=240)
        assert not ended.HasField("error"), ended.error
    service.stop()
    alone = service_factory(environment=crashes.ENVIRONMENT, data_dir=service.data_dir, buckets=service.buckets)
    with open_api(alone) as api:
        assert not api.finished(api.start_batch(model, listed, "gs://b/alone/", score_threshold="0.3")).HasField(
            "error"
        )
    assert contents(folder) == contents(crashes.result_folder(bucket, "alone"))


def test_a_cancelled_batch_over_a_cluster_keeps_whole_shards_and_ends_no_other(
    service_factory, environment, tiny_model: TinyModel
):
    port = ports.free_port()
    service = service_factory(environment=environment | {"BOXWRIGHT_HEALTH_PORT": str(port)})
    bucket = service.bucket("b")
    listed, model = _listed(bucket), tiny_model.install(service.data_dir)
    (bucket / "short.csv").write_text("".join((bucket / "list.csv").read_text().splitlines(keepends=True)[:40]))
    with open_api(service) as api:
        name = api.start_batch(model, listed, "gs://b/out/", score_threshold="0.3")
        other = api.start_batch(model, "gs://b/short.csv", "gs://b/other/", score_threshold="0.3")
        folder = wait_until(lambda: crashes.result_folder(bucket, "out"), "the folder", timeout_s=60)
        wait_until(lambda: whole_shards(folder), "a shard", timeout_s=120)
        told = wait_until(lambda: hosts if (hosts := _hosts(port))[0] else None, "hosts to be told")
        assert 1 <= told[0] <= told[1]
        api.cancel(name)
        assert api.finished(name).error.code == 1
        assert b'"CANCELLED"' in (folder / "manifest.json").read_bytes()
        assert not api.finished(other).HasField("error")  # it has the same driver
        wait_until(lambda: _hosts(port) == (0, 0), "hosts of no job to be told no more")
        assert len(crashes.children_of(service.process.pid, DRIVER)) == 1
