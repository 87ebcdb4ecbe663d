"""What these tests share: the trained model, and stores over a folder with one bucket."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.predictions.tiny_classifier import tiny_classifier as tiny_classifier
from tests.support.predictions.tiny_model import tiny_model as tiny_model

from boxwright import objects


@pytest.fixture
def bucket(tmp_path: pathlib.Path) -> pathlib.Path:
    """The folder behind ``gs://b``."""
    folder = tmp_path / "buckets" / "b"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def stores(bucket: pathlib.Path, tmp_path: pathlib.Path) -> objects.Stores:
    """Stores whose buckets are folders."""
    return objects.Stores(bucket.parent, tmp_path / "state")
