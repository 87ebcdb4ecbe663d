"""Which hosts a job asks for where a cluster has GPUs. The node here claims a GPU, and no network runs on it."""

from __future__ import annotations

import dataclasses
import logging

import pytest
from tests.support.clusters import claimed_gpus
from tests.support.predictions import engines

from boxwright.batch.job import BatchJob, MachineShare
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.devices import Devices
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine

GPU, CPU = {"runtime": "OnnxRuntime"}, {"runtime": "OpenVinoRuntime"}


def _job(bench, folder, runtime: str = "auto", precision: str | None = "fp32", name: str = "device") -> BatchJob:
    job = bench.job(name, model_folder=folder, precision=precision)
    return dataclasses.replace(job, share=MachineShare(1, runtime=runtime))


def _devices(
    job: BatchJob, *, known=None, gpus: float = 1.0, wait_s: float = 3600.0, has_come: bool = False
) -> Devices:
    return Devices(job, ClusterShare(gpus=gpus, gpu_wait_s=wait_s), lambda gpus: has_come, known)


@pytest.mark.parametrize(
    ("runtime", "known", "gpus", "wanted"),
    [
        ("auto", None, 1.0, 1.0),
        ("gpu", None, 0.5, 0.5),
        ("cpu", None, 1.0, 0.0),
        ("auto", None, 0.0, 0.0),  # the operator says that there is none
        ("auto", CPU, 1.0, 0.0),  # an earlier attempt has begun so
        ("auto", GPU, 1.0, 1.0),
    ],
)
def test_a_network_that_a_gpu_can_run_asks_for_one(bench, tiny_model, runtime, known, gpus, wanted):
    assert _devices(_job(bench, tiny_model.folder, runtime), known=known, gpus=gpus).gpus == wanted


def test_a_job_falls_back_when_no_gpu_comes_in_time(bench, tiny_model):
    job = _job(bench, tiny_model.folder)
    assert not _devices(job).falls_back()
    assert not _devices(job, wait_s=-1.0, has_come=True).falls_back()
    late = _devices(job, wait_s=-1.0)
    assert late.falls_back()
    assert late.gpus == 0.0
    assert not late.falls_back()  # once is enough
    assert not _devices(_job(bench, tiny_model.folder, "gpu"), wait_s=-1.0).falls_back()


def test_a_host_that_cannot_use_its_gpu_freezes_nothing(bench, tiny_model):
    devices = _devices(_job(bench, tiny_model.folder))
    assert not devices.objection(GPU)
    assert "cannot use it" in devices.objection(CPU)
    assert devices.falls_back()
    assert not devices.objection(CPU)  # from now on hosts have none


def test_a_job_for_a_gpu_is_placed_where_one_is_and_goes_on_without_if_it_is_of_no_use(
    bench, tiny_model, reference, caplog
):
    with engines.opened("ray", tiny_model) as maker:
        maker.pool()  # joins the cluster
        cluster = engines.cluster()
        claimed_gpus.add_node(cluster)
        pool = HostPool(ClusterShare(cluster.address, most_hosts=2, gpus=1.0, gpu_wait_s=3600.0), {})
        try:
            job = _job(bench, tiny_model.folder, precision=None, name="claimed")
            with caplog.at_level(logging.WARNING):
                engines.finish(bench, job, _PoolMaker(pool))
        finally:
            pool.close()
            cluster.kill_node(len(cluster.nodes) - 1)
    assert "event=gpu_fallback reason='the first host cannot use its GPU'" in caplog.text
    assert bench.output("claimed") == reference


class _PoolMaker:
    """Engines over a pool that is there."""

    def __init__(self, pool: HostPool) -> None:
        self._pool = pool

    def make(self, job, stores, sink, base=None):
        return RayEngine(job, stores, sink, self._pool)
