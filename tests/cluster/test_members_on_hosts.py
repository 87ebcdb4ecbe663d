"""Members of archives: the driver reads the archive, hosts predict, and nothing of it stays."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

import pytest
from tests.support.predictions import engines
from tests.support.predictions.tiny_model import TinyModel

from boxwright.cluster import member_packs
from boxwright.cluster.ray_engine import RayEngine

MEMBERS = 12


@pytest.fixture
def maker(tiny_model: TinyModel) -> Iterator[engines.EngineMaker]:
    with engines.opened("ray", tiny_model) as maker:
        yield maker


@pytest.fixture(scope="module")
def archive(bench, tiny_model) -> dict[str, bytes]:
    """An archive, beside single images; what this machine gives for it alone."""
    with tarfile.open(bench.bucket / "some.tar.gz", "w:gz") as file:
        for number in range(MEMBERS):
            file.add(bench.bucket / f"{number:04d}.jpg", f"{number:04d}.jpg")
        file.add(bench.bucket / "none.jpg", "none.jpg")
    engines.finish(bench, _job(bench, "packed-alone"), engines.ThreadsMaker(tiny_model.folder))
    return bench.output("packed-alone")


def _job(bench, name):
    bench.write_list(["gs://b/0020.jpg"], "one.csv")
    return bench.job(name, lists=["gs://b/one.csv", "gs://b/some.tar.gz"], shard_images=3)


def test_members_of_archives_are_predicted_by_hosts_to_the_same_bytes(bench, maker, archive):
    job = _job(bench, "packed")
    engines.finish(bench, job, maker, stop_after=2)
    engine, reports = engines.finish(bench, job, maker)
    assert isinstance(engine, RayEngine)
    assert bench.output("packed") == archive
    assert len(reports) == 5
    assert engine.counts.images_found >= 5
    assert engine.counts.images_done == MEMBERS + 2
    assert engine.host_s > 0.0
    left = bench.root / "state" / "operations" / "packed" / member_packs.FOLDER
    assert not list(left.glob("*"))
