"""What an image looks like: the same for the same pixels, nearly the same for a copy, something else for another image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.support.images import drawn_images

from boxwright.images import appearance, decode, letterbox


def _prepared(content: bytes, input_hw: tuple[int, int] = (192, 256), framing=letterbox.CENTRED) -> letterbox.Prepared:
    return letterbox.letterbox(decode.decode(content, input_hw), input_hw, framing)


def _record(prepared: letterbox.Prepared):
    return np.frombuffer(appearance.of(prepared), appearance.RECORD)[0]


def _saved(image: Image.Image, **options) -> bytes:
    target = io.BytesIO()
    image.save(target, **options)
    return target.getvalue()


def _scene(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Soft shapes, as photographs have them."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def test_a_copy_that_is_smaller_packed_again_or_brighter_differs_in_few_bits():
    for seed in range(20):
        scene = _scene(seed)
        first = _record(_prepared(_saved(scene, format="PNG")))["dhash"]
        copies = [
            _saved(scene, format="JPEG", quality=60),
            _saved(scene.resize((320, 240)), format="JPEG", quality=85),
            _saved(scene.point(lambda level: min(255, level * 1.1)), format="PNG"),
        ]
        for copy in copies:
            assert appearance.distances(first, _record(_prepared(copy))["dhash"]) <= 6
        other = _record(_prepared(_saved(_scene(seed + 1000), format="PNG")))["dhash"]
        assert appearance.distances(first, other) > 12


def test_the_grey_beside_an_image_does_not_count():
    content = _saved(_scene(1, (480, 480)), format="PNG")
    centred, cornered = _prepared(content), _prepared(content, framing=letterbox.Framing("letterbox-topleft", 0))
    assert appearance.of(centred) == appearance.of(cornered)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (300, 2), (7, 9)])
def test_images_of_any_size_have_a_record(size: tuple[int, int]):
    record = _record(_prepared(_saved(Image.new("RGB", size, (255, 255, 255)), format="PNG")))
    assert (record["dhash"], record["luma"], record["sharpness"]) == (0, 255.0, 0.0)


def test_brightness_and_sharpness_are_in_grey_levels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    record = _record(letterbox.Prepared(stripes[None], (0, 0), (64, 64), (64, 64)))
    assert record["sharpness"] == 400
    flat = _record(letterbox.Prepared(np.full((1, 64, 64, 3), 60, np.uint8), (0, 0), (64, 64), (64, 64)))
    assert (flat["luma"], flat["sharpness"]) == (60.0, 0.0)
    drawn = _record(_prepared(drawn_images.draw(3, size_hw=(120, 160), boxes=3).content))
    assert 0 < drawn["luma"] < 255
    assert drawn["sharpness"] > 0
