"""The curve of a training, in so few points that it is stored with the operation's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KEY = "curve"
MOST_POINTS = 60  # of about 20 characters each
DIGITS = 4


class TrainingCurve:
    """Loss and validation over the steps of a training, evenly spread whatever their number.

    Args:
        before: the points that an earlier attempt has stored; None if there are none.

    Attributes:
        points: [step, loss or None, validation mAP at IoU 0.5 or None] each, by rising step.
    """

    def __init__(self, before: Sequence[Sequence[float | None]] | None = None) -> None:
        self.points: list[list[float | None]] = [list(point) for point in before or ()]
        self._distance = self._spacing()  # in steps, between two points

    def note(self, event: Mapping[str, Any]) -> None:
        """Adds the numbers of a progress event, unless the last point is near; of too many, every other goes."""
        step, losses = event.get("step"), event.get("losses") or {}
        if not isinstance(step, int | float) or isinstance(step, bool) or not losses:
            return
        self.points = [point for point in self.points if (point[0] or 0) < step]  # an attempt may begin anew
        if self.points and step - (self.points[-1][0] or 0) < self._distance:
            return
        loss = losses.get("total", next(iter(losses.values())))
        self.points.append([step, _rounded(loss), _rounded(event.get("validation_map50"))])
        if len(self.points) > MOST_POINTS:
            del self.points[1::2]
            self._distance = self._spacing()

    def _spacing(self) -> float:
        """Steps between two points; 0 while there are few."""
        if len(self.points) < MOST_POINTS // 2:
            return 0.0
        return ((self.points[-1][0] or 0) - (self.points[0][0] or 0)) / (len(self.points) - 1)


def _rounded(value: object) -> float | None:
    return round(float(value), DIGITS) if isinstance(value, int | float) else None
