"""Recipes of experiments: the network that a job asks for is the one that is trained."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import pytest
import torch
from tests.unit.detector import conftest

from boxwright.detector import session
from boxwright.detector.delivery import export
from boxwright.detector.network import dense
from boxwright.inference import model_folder
from boxwright.learning import listener
from boxwright.learning.job import JobError, TrainingJob


class Watcher:
    """Does not stop."""

    def progress(self, percent: float, stage: str, **details: object) -> None: ...

    def warn(self, message: str) -> None: ...

    def finish_requested(self) -> bool:
        return False

    def stop_requested(self) -> bool:
        return False


def run(folder: pathlib.Path, drawn: conftest.Drawn) -> None:
    session.run(TrainingJob.read(folder), drawn.read, Watcher(), listener.ElapsedTime(time.monotonic, time.monotonic()))


def test_a_recipe_may_choose_the_network(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    own = {"stem_width": 4, "stage_widths": [4, 8, 8, 8], "stage_depths": [1, 1, 1, 1], "neck_width": 8}
    folder = conftest.write_job(tmp_path, drawn.rows, recipe={**conftest.RECIPE, "network": own, "steps": 1})
    run(folder, drawn)
    expected = dense.NetworkConfig(4, (4, 8, 8, 8), (1, 1, 1, 1), 8)
    assert dense.network_config(own) == expected and dense.network_config("tiny") == dense.TINY
    input_hw = tuple(model_folder.ModelInfo.read(folder / "model").input_hw)
    graph = export.to_onnx(dense.Network(expected, len(conftest.LABELS)).eval(), input_hw)
    assert (folder / "model" / "model.onnx").stat().st_size == len(graph)


@pytest.mark.parametrize(
    ("network", "message"),
    [("huge", "one of tiny, accurate, fast"), ({"depth": 3}, "names no network")],
)
def test_an_unknown_network_is_refused(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, network: Any, message: str
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, recipe={**conftest.RECIPE, "network": network})
    with pytest.raises(JobError, match=message):
        run(folder, drawn)


def test_scores_start_where_they_will_end_on_average() -> None:
    crowded = dense.score_prior(100.0, 1, (288, 384))
    few, many_labels = dense.score_prior(2.0, 6, (288, 384)), dense.score_prior(2.0, 60, (288, 384))
    assert crowded == dense.SCORE_PRIOR > few > many_labels >= dense.LEAST_PRIOR
    assert few == pytest.approx(10 * many_labels) and dense.score_prior(0.0, 1, (288, 384)) == dense.LEAST_PRIOR
    network = dense.Network(dense.TINY, 6, few).eval()
    _, scores = network.predict(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    assert scores.mean().item() == pytest.approx(few, rel=0.2)
