"""The curve of a training: few points, evenly spread, that a later attempt goes on with."""

from __future__ import annotations

import itertools
import json

from boxwright.operations import progress_values
from boxwright.runners.training_curve import KEY, MOST_POINTS, TrainingCurve


def _event(step: int) -> dict[str, object]:
    return {"step": step, "losses": {"boxes": 1.0, "total": 1 / (step + 1)}, "validation_map50": step / 1e5}


def test_a_long_training_has_few_points_from_its_first_step_to_its_last() -> None:
    curve = TrainingCurve()
    for step in range(0, 100_000, 7):
        curve.note(_event(step))
        assert len(curve.points) <= MOST_POINTS
    steps = [point[0] for point in curve.points]
    assert len(steps) > MOST_POINTS // 3
    assert steps[0] == 0 and steps[-1] > 90_000
    gaps = [after - before for before, after in itertools.pairwise(steps)]
    assert max(gaps) <= 3 * min(gaps), "evenly spread"
    assert curve.points[-1][1:] == [round(1 / (steps[-1] + 1), 4), round(steps[-1] / 1e5, 4)]
    kept = progress_values.storable({"losses": {}, KEY: curve.points})
    assert KEY in kept, f"it fits beside other numbers: {len(json.dumps(curve.points))} characters"


def test_a_later_attempt_goes_on_from_its_checkpoint() -> None:
    first = TrainingCurve()
    for step in range(50):
        first.note(_event(step))
    second = TrainingCurve(json.loads(json.dumps(first.points)))
    second.note(_event(30))
    assert [point[0] for point in second.points] == [*range(second.points[-2][0] + 1), 30]
    assert second.points[-2][0] <= 29


def test_what_is_no_step_of_learning_is_no_point() -> None:
    curve = TrainingCurve(None)
    for event in ({"step": 0, "losses": {}}, {"losses": {"total": 1}}, {"step": "x", "losses": {"total": 1}}):
        curve.note(event)
    curve.note({"step": 1, "losses": {"only": 0.5}})
    assert curve.points == [[1, 0.5, None]]
