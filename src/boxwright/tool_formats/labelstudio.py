"""Label Studio's JSON: a list of tasks, each an image with people's annotations or a model's predictions, in per cent.

Fields: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions.
"""

from __future__ import annotations

from typing import Any

from boxwright.tool_formats.pictures import Box, Picture

CONTROL = "label"  # the name of the control in the labelling interface
_TO_NAME = "image"
_PLACES = 9


def task(picture: Picture, address: str, control: str = CONTROL, *, is_model: bool) -> dict[str, Any]:
    """One task, as JSON.

    Args:
        picture: with its boxes and labels.
        address: of the image, as a browser or Label Studio's storage opens it.
        control: the name of the control that regions belong to.
        is_model: whether these are predictions, which a person accepts or not.
    """
    results = [_result(picture, number, box, control) for number, box in enumerate(picture.boxes, 1)]
    if picture.labels:
        results.append(_choices(picture, control))
    if not is_model:
        return {"data": {_TO_NAME: address}, "annotations": [{"result": results}]}
    scores = [one["score"] for one in results if "score" in one]
    whole = {"score": sum(scores) / len(scores)} if scores and len(scores) == len(results) else {}
    return {"data": {_TO_NAME: address}, "predictions": [{"model_version": "boxwright", **whole, "result": results}]}


def _choices(picture: Picture, control: str) -> dict[str, Any]:
    """The labels of an image: one result, as Label Studio has it, with the highest score."""
    scored = [score for score in picture.label_scores if score is not None]
    several = {"meta": {"scores": list(picture.label_scores)}} if scored and len(picture.labels) > 1 else {}
    return {
        "id": "1",
        "from_name": control,
        "to_name": _TO_NAME,
        "type": "choices",
        "value": {"choices": list(picture.labels)},
        **({"score": max(scored)} if scored else {}),
        **several,
    }


def _result(picture: Picture, number: int, box: Box, control: str) -> dict[str, Any]:
    left, top, right, bottom = (100 * side for side in box.corners_norm)
    sides = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    size = picture.size_hw and {"original_width": picture.size_hw[1], "original_height": picture.size_hw[0]}
    return {
        "id": str(number),
        "from_name": control,
        "to_name": _TO_NAME,
        "type": "rectanglelabels",
        **(size or {}),
        "image_rotation": 0,
        "value": {**{name: round(side, _PLACES) for name, side in sides.items()}, "rectanglelabels": [box.label]},
        **({} if box.score is None else {"score": box.score}),
    }
