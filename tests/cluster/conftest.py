"""What the tests of the cluster share: two nodes with a core each, and images."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.images import drawn_images
from tests.support.predictions import engines
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tiny_model import TinyModel
from tests.support.predictions.tiny_model import tiny_model as tiny_model

IMAGES = 60
# those that lead a cluster, in a process of their own: see test_contract
LEADERS = [f"test_{name}.py" for name in ("losses", "shared_hosts", "members_on_hosts", "doctor_cluster", "gpu_hosts")]
collect_ignore = [] if engines.NAMES == ["ray"] else LEADERS


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bucket with images, one that is none, and a list of them."""
    bench = Bench(tmp_path_factory.mktemp("cluster"))
    names = drawn_images.write_images(bench.bucket, IMAGES)
    (bench.bucket / "none.jpg").write_bytes(b"no image")
    bench.write_list([f"gs://b/{name}" for name in [*names[:7], "none.jpg", *names[7:]]])
    return bench


@pytest.fixture(scope="session")
def reference(bench: Bench, tiny_model: TinyModel) -> dict[str, bytes]:
    """What this machine gives alone."""
    engines.finish(bench, bench.job("reference"), engines.ThreadsMaker(tiny_model.folder))
    return bench.output("reference")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path
