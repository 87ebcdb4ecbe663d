"""Duplicates: those that were planted are found, others are not, and a camera that never moves costs no hours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.support.predictions.tables import detections, table_of

from boxwright.batch.report import duplicates
from boxwright.batch.report.duplicates import Duplicates
from boxwright.images import appearance
from boxwright.images.letterbox import Prepared

SIZE = (64, 48)


def _scene(rng: np.random.Generator) -> Image.Image:
    """A drawn scene: soft ground with detail at every scale, as photographs have it, and some rectangles."""
    ground = np.zeros((*SIZE[::-1], 3))
    for side in (3, 6, 12, 24):
        noise = rng.normal(128, 160 / side**0.5, (side, side, 3)).clip(0, 255).astype(np.uint8)
        ground += np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC), np.float64) / 4
    image = Image.fromarray(ground.astype(np.uint8))
    for _ in range(4):
        left, top = rng.integers(0, 48), rng.integers(0, 36)
        image.paste(tuple(rng.integers(0, 256, 3).tolist()), (left, top, left + rng.integers(6, 30), top + 12))
    return image


def _looks(image: Image.Image) -> bytes:
    pixels = np.asarray(image.resize(SIZE))[None]
    return appearance.of(Prepared(pixels, (0, 0), SIZE, SIZE[::-1]))


def _changed(image: Image.Image, number: int, rng: np.random.Generator) -> Image.Image:
    """A copy that is brighter, noisier, smaller or cut by a little."""
    match number % 4:
        case 0:
            return image.point(lambda level: min(255, round(level * 1.08)))
        case 1:
            noise = rng.normal(0, 4, (*SIZE[::-1], 3))
            return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
        case 2:
            return image.resize((SIZE[0] // 2, SIZE[1] // 2), Image.Resampling.BILINEAR)
        case _:
            return image.crop((1, 1, SIZE[0], SIZE[1]))


@pytest.fixture(scope="module")
def planted() -> tuple[list[bytes], dict[int, int]]:
    """What 5,000 images look like, and for thirty of them, which they are copies of."""
    rng = np.random.default_rng(7)
    images = [_scene(rng) for _ in range(4970)]
    copy_of = {4970 + number: int(original) for number, original in enumerate(rng.choice(4970, 30, replace=False))}
    copies = [_changed(images[original], number, rng) for number, original in copy_of.items()]
    return [_looks(image) for image in [*images, *copies]], copy_of


def test_of_thirty_planted_near_duplicates_among_5000_images_at_least_29_are_found_and_at_most_3_others(planted):
    looks, copy_of = planted
    found = Duplicates()
    for first in range(0, len(looks), 500):
        found.add(table_of(looks[first : first + 500], first=first))
    groups = found.groups()
    assert not any(group.is_equal for group in groups)
    together = {frozenset(pair) for pair in copy_of.items()}
    right = sum(any(pair <= set(group.rows) for group in groups) for pair in together)
    images = {row for group in groups for row in group.rows}
    others = images - {row for pair in together for row in pair}
    assert right >= 29
    assert len(others) <= 3


def test_equal_bytes_are_a_group_whatever_they_look_like_and_what_has_no_structure_is_near_nothing():
    flat = np.array([(0, 100.0, 0.0)], appearance.RECORD).tobytes()
    found = Duplicates()
    found.add(table_of([flat] * 6, contents=[b"a", b"b", b"a", b"c", b"b", b"a"]))
    assert [(group.rows, group.is_equal) for group in found.groups()] == [([0, 2, 5], True), ([1, 4], True)]


def test_where_it_is_not_known_what_images_look_like_only_equal_ones_are_found():
    found = Duplicates()
    found.add(table_of([appearance.UNKNOWN] * 3, contents=[b"a", b"b", b"a"]))
    assert [group.rows for group in found.groups()] == [[0, 2]]


def test_images_in_which_the_model_is_sure_of_different_things_are_not_near():
    look = np.array([(12345 << 20, 100.0, 5.0)], appearance.RECORD).tobytes()
    here, there = (0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9)
    results = [[(*here, 0.9, 0)], [(*here, 0.8, 0)], [(*there, 0.9, 0)], [(*here, 0.9, 1)], [(*there, 0.4, 1)]]
    found = Duplicates()
    found.add(table_of([look] * 4, [detections(one) for one in results[:4]]))
    assert [group.rows for group in found.groups()] == [[0, 1]]
    open_one = Duplicates()
    open_one.add(table_of([look] * 2, [detections(one) for one in (results[0], results[4])]))
    assert [group.rows for group in open_one.groups()] == [[0, 1]]


def test_images_of_another_shape_or_brightness_are_not_near():
    looks = [np.array([(12345 << 20, luma, 5.0)], appearance.RECORD).tobytes() for luma in (100.0, 101.0, 180.0)]
    found = Duplicates()
    found.add(table_of([*looks, looks[0]], widths=[64, 64, 64, 80]))
    assert [group.rows for group in found.groups()] == [[0, 1]]


def test_each_window_is_searched_by_itself(monkeypatch):
    monkeypatch.setattr(duplicates, "WINDOW", 4)
    look = np.array([(12345 << 20, 100.0, 5.0)], appearance.RECORD).tobytes()
    found = Duplicates()
    for first in range(0, 6, 2):
        found.add(table_of([look, look], first=first))
    assert [group.rows for group in found.groups()] == [[0, 1, 2, 3], [4, 5]]
    assert found.windows == 2


def test_a_camera_that_never_moves_is_one_group_and_compares_a_bounded_number_of_pairs(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 20_000)
    monkeypatch.setattr(duplicates, "MOST_JOINED", 20_000)
    compared = []
    distances = appearance.distances

    def counted(one, other):
        compared.append(len(np.atleast_1d(one)))
        return distances(one, other)

    monkeypatch.setattr(appearance, "distances", counted)
    look = np.array([(12345 << 20, 100.0, 5.0)], appearance.RECORD).tobytes()
    found = Duplicates()
    found.add(table_of([look] * 3000))
    assert [len(group.rows) for group in found.groups()] == [3000]
    assert sum(compared) <= 28 * 20_000
