"""The policy digest: one for one policy, another for whatever may change a candidate."""

from __future__ import annotations

import pytest

from boxwright.batch import policy
from boxwright.images import decode
from boxwright.inference import loaded_model


def test_whatever_may_change_a_candidate_changes_the_digest(monkeypatch: pytest.MonkeyPatch):
    def now(**values) -> str:
        chosen = {"model_digest": "d", "precision": "fp32", "floor": 0.05, "maximum": 500} | values
        return policy.digest(**chosen)

    first = now()
    assert now() == first and len(first) == 64
    others = [now(model_digest="e"), now(precision="int8"), now(floor=0.01), now(maximum=100), now(on_gpu=True)]
    for module in (decode, loaded_model):
        with monkeypatch.context() as patch:
            patch.setattr(module, "RESULTS_VERSION", module.RESULTS_VERSION + 1)
            others.append(now())
    assert len({first, *others}) == len(others) + 1
