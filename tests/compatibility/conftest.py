"""The trained model that these tests share, and a service behind TLS that `boxwright client-env` set up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from tests.support.clients import case_world
from tests.support.machine import apt
from tests.support.predictions.tiny_classifier import tiny_classifier as tiny_classifier
from tests.support.predictions.tiny_model import tiny_model as tiny_model
from tests.support.services import env_service as environment


@pytest.fixture(scope="module")
def world(service: Any, tiny_model: Any, tiny_classifier: Any) -> Iterator[case_world.World]:
    """What cases name in braces, in the session's service."""
    with grpc.insecure_channel(service.grpc_target) as channel:
        yield case_world.World(service, tiny_model, channel, tiny_classifier)


@pytest.fixture
def http(service: Any) -> Iterator[httpx.Client]:
    """REST of the session's service, below ``/v1/``."""
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}/v1/", timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def env_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[environment.EnvService]:
    """One service for the session, with TLS on both doors."""
    with environment.run_env_service(tmp_path_factory.mktemp("env")) as running:
        yield running


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves tests out where a skip would be a failure and the Go, gcloud or Debian packages of them are not installed."""
    if not os.environ.get("BOXWRIGHT_TEST_STRICT"):
        return
    absent = {name for name in ("go", "gcloud") if not shutil.which(name)}
    if os.environ.get("BOXWRIGHT_TEST_APT"):
        absent.discard("go")  # which is installed then
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in absent) or _lacks(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _lacks(item: pytest.Item) -> bool:
    """Whether a test needs Debian packages that are not there and that it may not install."""
    needed = item.get_closest_marker("debian")
    return needed is not None and not apt.may_install() and bool(apt.missing(*needed.args))
