"""What an inference child keeps from job to job, for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool


@pytest.fixture(scope="module")
def models() -> LoadedModels:
    return LoadedModels()


@pytest.fixture(scope="module")
def peers() -> Iterator[PeerPool]:
    peers = PeerPool()
    yield peers
    peers.close()
