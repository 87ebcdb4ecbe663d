"""What these tests share: the trained model, and a service in memory behind both API servers."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import httpx
import pytest
from tests.support.predictions.tiny_classifier import tiny_classifier as tiny_classifier
from tests.support.predictions.tiny_model import tiny_model as tiny_model
from tests.unit.surface import tiny_service


@pytest.fixture(scope="module")
def doors() -> Iterator[tiny_service.Doors]:
    """A service in memory behind both API servers, which really listen."""
    with tiny_service.open_doors() as opened:
        yield opened


@pytest.fixture(params=["grpc", "rest"])
def door(request: pytest.FixtureRequest) -> str:
    """Which API server a test calls."""
    return str(request.param)


@pytest.fixture(scope="module")
def http(doors: tiny_service.Doors) -> Iterator[httpx.Client]:
    """Plain HTTP to the REST server."""
    with httpx.Client(base_url=doors.url, timeout=tiny_service.TIMEOUT_S, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def channel(doors: tiny_service.Doors) -> Iterator[grpc.Channel]:
    """A plaintext channel to the gRPC server."""
    with grpc.insecure_channel(doors.target) as opened:
        yield opened
