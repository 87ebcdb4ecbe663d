"""A database with accounts, and a clock that the test turns."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator

import pytest
from tests.support.access.credentials import Registry


class Clock:
    """Seconds since 1970 UTC, as far ahead of the machine's as the test says."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def registry(tmp_path: pathlib.Path) -> Iterator[Registry]:
    opened = Registry(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
