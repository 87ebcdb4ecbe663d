"""The trained model that these tests share, and the databases on which they run."""

from __future__ import annotations

import pytest
from tests.support.crashes import ENVIRONMENT
from tests.support.tiny_model import tiny_model as tiny_model


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of services that are killed; on PostgreSQL it names an empty database."""
    if request.param == "sqlite":
        return ENVIRONMENT
    return {**ENVIRONMENT, "BOXWRIGHT_DATABASE_URL": request.getfixturevalue("postgres").new_database()}
