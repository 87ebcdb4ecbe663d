"""The classifier's input: larger and in the images' shape where an image has several labels, and chosen once."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from boxwright.classifier.data import dataset
from boxwright.classifier.network import network
from boxwright.classifier.training import input_size, recipe


def photographs(width: int, height: int, count: int = 5) -> tuple[dataset.Splits, dict[str, bytes]]:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 40)).save(buffer, "JPEG")
    rows = [dataset.Example(f"gs://a/{index}.jpg", f"{index:064}", "TRAIN", np.array([0])) for index in range(count)]
    return dataset.resolve_splits(rows), {row.uri: buffer.getvalue() for row in rows}


def choose(
    folder: pathlib.Path,
    width: int,
    height: int,
    *,
    is_multiclass: bool = False,
    share: float = 1.0,
    kind: network.ModelType = network.ACCURATE,
) -> input_size.InputSize:
    splits, images = photographs(width, height)
    return input_size.choose(
        kind,
        splits,
        images.__getitem__,
        folder,
        threads=2,
        is_multiclass=is_multiclass,
        steps_share=lambda larger: share * network.ACCURATE.image_s / larger.image_s,
    )


def test_an_image_with_one_label_is_seen_as_in_the_first_training(tmp_path: pathlib.Path) -> None:
    assert choose(tmp_path, 1600, 900, is_multiclass=True).input_hw == (260, 260)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "height"), [(1600, 900), (900, 1600), (1000, 1000), (4000, 500)])
def test_an_image_with_several_gets_more_pixels_in_its_own_shape(
    tmp_path: pathlib.Path, width: int, height: int
) -> None:
    found = choose(tmp_path, width, height, share=2.0).input_hw
    assert found[0] * found[1] == pytest.approx(2.25 * 260 * 260, rel=0.02)
    aspect = min(2.0, max(0.5, width / height))
    assert found[1] / found[0] == pytest.approx(aspect, rel=0.03)


@pytest.mark.parametrize(
    ("share", "growth", "words"),
    [(1.4, 2.25, "2.25 times"), (1.0, 1.5, "1.5 times"), (0.5, 1.0, "too few steps")],
)
def test_a_short_budget_takes_fewer_pixels(tmp_path: pathlib.Path, share: float, growth: float, words: str) -> None:
    found = choose(tmp_path, 1600, 1200, share=share)
    assert found.input_hw[0] * found.input_hw[1] == pytest.approx(growth * 260 * 260, rel=0.02)
    assert words in found.reason


@pytest.mark.parametrize(("width", "height", "growth"), [(390, 270, 1.5), (320, 240, 1.0), (100, 80, 1.0)])
def test_images_without_more_detail_are_not_enlarged(
    tmp_path: pathlib.Path, width: int, height: int, growth: float
) -> None:
    found = choose(tmp_path, width, height, share=9.0)
    assert found.input_hw[0] * found.input_hw[1] == pytest.approx(growth * 260 * 260, rel=0.02)
    assert growth > 1 or "no more detail" in found.reason


def test_a_later_attempt_finds_the_same_choice(tmp_path: pathlib.Path) -> None:
    first = choose(tmp_path, 1600, 900)
    assert choose(tmp_path, 500, 1000, share=0.0) == first
    assert [path.name for path in tmp_path.iterdir()] == [input_size.INPUT_FILE]


def test_images_that_cannot_be_read_decide_nothing(tmp_path: pathlib.Path) -> None:
    splits, _ = photographs(10, 10)
    found = input_size.choose(
        network.FAST,
        splits,
        lambda uri: b"no image",
        tmp_path,
        threads=1,
        is_multiclass=False,
        steps_share=lambda _: 1.0,
    )
    assert found.input_hw == (224, 224)


def test_a_larger_input_takes_its_time() -> None:
    larger = network.ACCURATE.with_input((520, 260))
    assert larger.image_s == pytest.approx(2 * network.ACCURATE.image_s)
    own = recipe.Recipe()
    shares = [own.share_for(300, budget_s, larger.image_s, 2) for budget_s in (10, 100, 1000, 10_000)]
    assert shares == sorted(shares) and shares[0] == 0.0 and 0.0 < shares[1] < shares[2] <= shares[3] == 1.0
