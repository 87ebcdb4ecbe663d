"""What a batch prediction's request and the settings choose of its results, made fields of a `BatchSpec`."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from typing import Any

from boxwright import errors
from boxwright.batch import policy
from boxwright.inference.model_folder import ModelInfo
from boxwright.predictions import Selection
from boxwright.runners import base_choice

MAX_SHOWN_LABELS = 10


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """The settings that reach the output of a batch prediction; see the fields of `BatchSpec` of the same names.

    Attributes:
        keeps_candidates: whether jobs whose request says nothing keep candidates.
        candidate_floor: of jobs whose thresholds are not lower.
        reuse: of requests that do not say it, see `base_choice.choose`.
    """

    shard_images: int
    row_failure_limit: float
    image_failure_limit: float
    image_timeout_s: float
    camel_case: bool
    precision: str | None
    keeps_candidates: bool = False
    candidate_floor: float = 0.0
    report: bool = False
    reuse: str = base_choice.NONE
    reuse_audit: float = 0.0


def chosen(
    settings: OutputSettings,
    params: Mapping[str, Any],
    model: ModelInfo,
    *,
    predicts: bool = True,
    on_gpu: bool = False,
) -> dict[str, Any]:
    """The fields of a `BatchSpec` that settings and params choose, and what they need to know of the model.

    Args:
        settings: of today.
        params: from `services.validation.batch_params`.
        model: says which labels there are and below which score it finds nothing.
        predicts: whether images are predicted; otherwise there are no new candidates to keep.
        on_gpu: whether a GPU predicts.

    Raises:
        ApiError: INVALID_ARGUMENT if the params name a label that the model does not have.
    """
    values = dataclasses.asdict(settings) | dict(params)
    keeps, floor = values.pop("keeps_candidates"), values.pop("candidate_floor")
    del values["reuse"]  # the runner chooses the base
    names = [label.display_name for label in model.labels]
    for label in values.get("label_thresholds", {}):
        _check_label(label, f"params.score_threshold.{label}", names)
    for label in values.get("only_labels", ()):
        _check_label(label, "params.labels", names)
    if predicts:
        thresholds, wanted = values.get("label_thresholds", {}), values.get("only_labels")
        selection = Selection.of(names, values["score_threshold"], thresholds, wanted, None)
        floor = min(floor, selection.lowest_threshold)
        floor = floor if floor > model.score_floor else 0.0  # 0: all that the model has
        precision = values["precision"] or model.precision
        values["policy_digest"] = policy.digest(model.digest, precision, floor, model.max_detections, on_gpu=on_gpu)
        values["policy_floor"] = floor
        if keeps:
            values["candidate_floor"] = floor
    else:
        values.pop("only_new", None)
    values["labels"] = [[label.annotation_spec_id, label.display_name] for label in model.labels]
    values["model_digest"] = model.digest
    return values


def _check_label(label: str, field: str, names: Collection[str]) -> None:
    if label in names:
        return
    nearest = difflib.get_close_matches(label, sorted(names), 1)
    shown = ", ".join(sorted(names)[:MAX_SHOWN_LABELS]) + (", …" if len(names) > MAX_SHOWN_LABELS else "")
    hint = f"did you mean {nearest[0]}" if nearest else f"its labels: {shown}"
    raise errors.invalid_argument(field, f"The model has no label '{label[:80]}'; {hint}.")
