"""Which networks are trained, which of them becomes the model, and that a stop in between changes nothing."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import torch
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import candidates, model, pretrained, schedule, session, sizing, trainer
from boxwright.detector.job import Job

INPUT_HW = (96, 96)
RECIPE = {name: value for name, value in conftest.RECIPE.items() if name != "network"} | {"steps": 12}


class Stopping(Watcher):
    """Asks to stop at a step of the second network."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def stop_requested(self) -> bool:
        if not self.events or self.events[-1][1] != "training":
            return False
        details = self.events[-1][2]
        return details.get("initial_weights") == pretrained.SOURCE and details["step"] >= self.step


def _time(budget_s: float, needed_s: float) -> sizing.Time:
    """Time whose planned steps need so many seconds."""
    time = sizing.Time(budget_s, 1000, 1.0, lambda input_hw: 10.0)
    return sizing.Time(budget_s, 1000, time.needed_s(INPUT_HW) / needed_s, lambda input_hw: 10.0)


@pytest.mark.parametrize(
    ("model_type", "recipe", "budget_s", "images", "starts", "reason"),
    [
        ("cloud-high-accuracy-1", {}, 86_400.0, 50, ["random", pretrained.SOURCE], ""),
        ("cloud-high-accuracy-1", {}, 86_400.0, 5000, ["random", pretrained.SOURCE], ""),
        ("mobile-high-accuracy-1", {}, 150.0, 50, [pretrained.SOURCE], "time for one network alone"),
        ("mobile-high-accuracy-1", {}, 150.0, 5000, ["random"], "there is time for one network alone"),
        ("cloud-low-latency-1", {}, 86_400.0, 50, ["random"], "as always for this model type"),
        ("cloud-low-latency-1", {"network": "pretrained"}, 60.0, 50, [pretrained.SOURCE], "as the recipe asks"),
        ("cloud-high-accuracy-1", {"network": "tiny"}, 86_400.0, 50, ["random"], "of the recipe"),
        ("cloud-high-accuracy-1", {"pretrained": False}, 86_400.0, 50, ["random"], "the settings allow no others"),
    ],
)
def test_what_is_trained_follows_from_type_data_and_budget(
    tmp_path: pathlib.Path,
    drawn: conftest.Drawn,
    model_type: str,
    recipe: dict[str, Any],
    budget_s: float,
    images: int,
    starts: list[str],
    reason: str,
) -> None:
    job = Job.read(conftest.write_job(tmp_path, drawn.rows, model_type=model_type))
    found = candidates.plan(
        job, schedule.Recipe(**recipe), model.MODEL_TYPES[model_type], _time(budget_s, 100.0), INPUT_HW, images
    )
    assert [one.start for one in found.candidates] == starts and reason in found.reason
    assert found.candidates[0].folder == job.folder and len({one.folder for one in found.candidates}) == len(starts)


def test_without_the_package_there_is_one_network_and_a_reason(
    tmp_path: pathlib.Path, drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "PACKAGE", "a_package_of_nobody")
    job = Job.read(conftest.write_job(tmp_path, drawn.rows))
    found = candidates.plan(job, schedule.Recipe(), model.ACCURATE, _time(1e5, 100.0), INPUT_HW, 50)
    assert [one.start for one in found.candidates] == ["random"] and "not installed" in found.reason


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "PROGRESS_EVERY_S", 0.0)


def _run(folder: pathlib.Path, drawn: conftest.Drawn, watcher: Watcher | None = None) -> dict[str, Any]:
    session.run(Job.read(folder), drawn.read, watcher or Watcher(), elapsed())
    provenance: dict[str, Any] = json.loads((folder / "model" / "model.json").read_text())["provenance"]
    return provenance


def test_the_second_network_is_trained_where_the_first_finds_too_little_and_a_stop_changes_nothing(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GAIN", -1.0)  # whatever validation says
    folders = [
        conftest.write_job(tmp_path / name, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
        for name in ("whole", "stopped")
    ]
    watcher = Watcher()
    whole = _run(folders[0], drawn, watcher)
    assert whole["initial_weights"] == pretrained.SOURCE and whole["network"].startswith("on pretrained weights: ")
    seen = [details["initial_weights"] for _, _, details in watcher.events if "initial_weights" in details]
    assert seen == ["random"] * seen.count("random") + [pretrained.SOURCE] * seen.count(pretrained.SOURCE)
    assert min(seen.count("random"), seen.count(pretrained.SOURCE)) >= 12
    percents = [percent for percent, _, _ in watcher.events]
    assert percents == sorted(percents)
    with pytest.raises(trainer.Stopped):
        session.run(Job.read(folders[1]), drawn.read, Stopping(6), elapsed())
    assert (folders[1] / candidates.SECOND_FOLDER / "checkpoint.pt").exists()
    again = Watcher()
    assert _run(folders[1], drawn, again)["weights_sha256"] == whole["weights_sha256"]
    steps = [details["step"] for _, _, details in again.events if details.get("initial_weights")]
    assert min(steps) >= 6, "the first network, or what was done of the second, was trained again"
    assert not list(folders[1].rglob("checkpoint.pt"))


def test_a_first_network_that_is_good_enough_stays_alone(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GOOD_SCORE", 0.0)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    watcher = Watcher()
    provenance = _run(folder, drawn, watcher)
    assert provenance["initial_weights"] == "random" and "good enough" in provenance["network"]
    assert {details.get("initial_weights", "random") for _, _, details in watcher.events} == {"random"}


def test_a_second_training_that_diverges_leaves_the_first_model(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(self: model.Network, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(one * float("nan") for one in model.Network.forward(self, pixels))

    monkeypatch.setattr(pretrained.PretrainedNetwork, "forward", spoilt)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    watcher = Watcher()
    provenance = _run(folder, drawn, watcher)
    assert provenance["initial_weights"] == "random" and "diverged" in provenance["network"]
    assert any("not finite at step" in warning for warning in watcher.warnings)


def test_a_second_network_that_is_not_better_is_not_taken(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GAIN", 1.0)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    provenance = _run(folder, drawn)
    assert provenance["initial_weights"] == "random" and "on pretrained ones" in provenance["network"]
