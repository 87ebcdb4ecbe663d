"""Both ways to scale an image agree."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.images import resize

SIZES = [
    ((480, 640), (288, 384)),
    ((31, 97), (30, 96)),
    ((1, 1), (64, 96)),
    ((2000, 3), (200, 1)),
    ((64, 96), (128, 192)),
]


@pytest.mark.parametrize(("size_hw", "wanted_hw"), SIZES)
def test_both_ways_differ_by_a_grey_level_at_most(size_hw, wanted_hw):
    pixels = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), np.uint8)
    fast, slow = resize.with_vectors(pixels, wanted_hw), resize.with_pillow(pixels, wanted_hw)
    assert fast.shape == slow.shape == (*wanted_hw, 3)
    assert np.abs(fast.astype(np.int16) - slow).max() <= 1


def test_without_the_vectors_pillow_scales(monkeypatch):
    pixels = np.random.default_rng(2).integers(0, 256, (40, 60, 3), np.uint8)
    monkeypatch.setattr(resize, "vectorised", None)
    assert np.array_equal(resize.resized(pixels, (20, 30)), resize.with_pillow(pixels, (20, 30)))
