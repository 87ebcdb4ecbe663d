"""The trained model that these tests share, and a service behind TLS that `boxwright client-env` set up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import env_service as environment
from tests.support.tiny_model import tiny_model as tiny_model


@pytest.fixture(scope="session")
def env_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[environment.EnvService]:
    """One service for the session, with TLS on both doors."""
    with environment.run_env_service(tmp_path_factory.mktemp("env")) as running:
        yield running
