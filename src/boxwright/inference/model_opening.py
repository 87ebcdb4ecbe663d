"""A model folder of any kind, loaded: the kind that model.json names decides what its network's output becomes."""

from __future__ import annotations

import pathlib
from typing import Any

from boxwright.inference.classification import Classifier
from boxwright.inference.loaded_model import LoadedModel
from boxwright.inference.model_folder import ModelInfo
from boxwright.inference.predictor import Predictor

_MODELS: dict[str, type[LoadedModel]] = {model.KIND: model for model in (Predictor, Classifier)}


def open_model(folder: pathlib.Path, **options: Any) -> LoadedModel:
    """Loads a model folder.

    Args:
        folder: holds model.json and the network's files.
        options: see `LoadedModel.open`.

    Raises:
        ModelError: the folder is incomplete or damaged, or the network does not run here.
        ValueError: the model has no network of the precision that is asked for.
    """
    return _MODELS[ModelInfo.read(folder).kind].open(folder, **options)
