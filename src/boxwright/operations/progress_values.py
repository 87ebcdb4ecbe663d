"""Progress in numbers, made fit to be stored: finite, and small whatever a runner reports."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_STORED_CHARS = 4000  # of JSON; a training's numbers take about 400


def storable(progress: Mapping[str, Any]) -> dict[str, Any]:
    """The entries as JSON can hold them: NaN and infinities are None; what goes beyond the limit is left out, last first."""
    kept: dict[str, Any] = {}
    left_chars = MAX_STORED_CHARS
    for key, value in progress.items():
        plain = _finite(value)
        left_chars -= len(json.dumps({str(key): plain}))
        if left_chars < 0:
            break
        kept[str(key)] = plain
    return kept


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
