"""Datasets and models by kind: the member of their message that is set, in the spelling of the public JSON."""

from __future__ import annotations

from typing import Any

DETECTION, CLASSIFICATION = "imageObjectDetection", "imageClassification"
TYPES = {  # of datasets that can be created, with what their metadata says
    "detection": (DETECTION, {}),
    "multiclass": (CLASSIFICATION, {"classificationType": "MULTICLASS"}),
    "multilabel": (CLASSIFICATION, {"classificationType": "MULTILABEL"}),
}


def dataset_metadata(type_name: str) -> dict[str, Any]:
    """What the message of a new dataset of a type has."""
    kind, metadata = TYPES[type_name]
    return {f"{kind}DatasetMetadata": metadata}


def type_of(dataset: dict[str, Any]) -> str:
    """The type of a dataset: one of `TYPES`, or the name of a kind that only holds a place."""
    kind = kind_of(dataset, "Dataset")
    metadata = dataset.get(f"{kind}DatasetMetadata", {})
    named = (name for name, known in TYPES.items() if known == (kind, metadata))
    return next(named, kind)


def kind_of(message: dict[str, Any], what: str) -> str:
    """The kind of a dataset or model, as ``imageClassification``.

    Args:
        message: the dataset or model.
        what: ``Dataset`` or ``Model``.
    """
    suffix = f"{what}Metadata"
    return next((key.removesuffix(suffix) for key in message if key.endswith(suffix)), DETECTION)


def model_metadata(model: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a model, whatever its kind."""
    found: dict[str, Any] = model[f"{kind_of(model, 'Model')}ModelMetadata"]
    return found
