"""Training sees what int8 will do: values are rounded on the way forward, gradients are not."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.network import dense
from boxwright.detector.training import detection_step
from boxwright.learning.job import TrainingJob


def test_inputs_have_eight_bits_and_weights_seven_of_each_channel() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    weight = torch.randn(4, 3, 3, 3) * torch.tensor([1.0, 10.0, 0.1, 0.0])[:, None, None, None]
    weight.requires_grad_()
    rounded_x, rounded_weight = dense.rounded_like_int8(x, weight)
    assert len(rounded_x.unique()) <= 256 and (rounded_x - x).abs().max() <= x.max() / 255 / 2 + 1e-6
    for channel in range(3):
        own = rounded_weight[channel]
        assert len(own.unique()) <= 127 and own.abs().max().item() == pytest.approx(weight[channel].abs().max().item())
    assert (rounded_weight[3] == 0).all()
    (rounded_x.sum() + (3 * rounded_weight).sum()).backward()
    assert (x.grad == 1).all() and (weight.grad == 3).all()


def test_rounding_is_switched_for_all_blocks_but_the_stem_and_never_for_the_exported_network() -> None:
    network = dense.Network(dense.TINY, 2)
    split = detection_step.DetectionStep(network, 2, 4)
    for rounds in (True, False):
        split.round_like_int8(rounds)
        for view in split.views:
            blocks = [one for one in view.modules() if isinstance(one, dense.ConvBlock)]
            assert all(one.rounds == (rounds and one is not view.stem) for one in blocks)
        assert not any(one.rounds for one in network.modules() if isinstance(one, dense.ConvBlock))
    split.close()


@pytest.mark.full
def test_a_recipe_may_leave_rounding_out_and_gets_other_weights(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    digests = []
    for name, changes in (("usual", {}), ("usual again", {}), ("never", {"rounding_from": 1.0})):
        folder = conftest.write_job(tmp_path / name, drawn.rows, recipe={**conftest.RECIPE, **changes})
        digests.append(session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed()).weights_sha256)
        assert json.loads((folder / "model" / "evaluation.json").read_text())["extras"]["images"] > 0
    assert digests[0] == digests[1] != digests[2]
