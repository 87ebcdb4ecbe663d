"""Loaded models: kept for later jobs, least recently used out first, within a bound."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.predictions.tiny_model import TinyModel

from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.inference.predictor import Predictor

PLENTY = 1 << 40


@pytest.fixture
def folders(tiny_model: TinyModel, tmp_path: pathlib.Path) -> list[pathlib.Path]:
    return [tiny_model.copy_to(tmp_path, f"model-{number}") for number in range(3)]


def _get(models: LoadedModels, folder: pathlib.Path, keep_bytes: int = PLENTY, streams: int = 1) -> Predictor:
    return models.get(folder, streams=streams, precision=None, runtime="cpu", keep_bytes=keep_bytes)


def test_within_the_bound_every_model_stays(folders) -> None:
    models = LoadedModels()
    first = [_get(models, folder) for folder in folders]
    assert [_get(models, folder) for folder in folders] == first
    assert len(models) == 3 and models.held_bytes >= 3 * first[0].network_bytes > 0
    assert _get(models, folders[0], streams=2) is not first[0]


def test_beyond_the_bound_the_least_recently_used_goes_and_the_one_asked_for_stays(folders) -> None:
    models = LoadedModels(resident_bytes=lambda: 0)  # each then counts as much as its file has
    one, two = _get(models, folders[0]), _get(models, folders[1])
    _get(models, folders[0])
    three = _get(models, folders[2], keep_bytes=2 * one.network_bytes)  # room for two; the second was used longest ago
    assert len(models) == 2
    assert _get(models, folders[0]) is one and _get(models, folders[2]) is three
    assert _get(models, folders[1]) is not two
    assert _get(models, folders[1], keep_bytes=1) and len(models) == 1
