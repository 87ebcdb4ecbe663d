"""Every file of the corpus has the outcome that docs/images.md promises; bombs are refused in constant memory."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.support.images import corpus
from tests.support.images.corpus.samples import Picture, Sample, drawing, saved, stored_for

from boxwright.images import decode

BOMBS_MAY_TAKE_BYTES = 16 << 20  # all of them, one after another: their own bytes, a few texts of 1 MB, no pixels
SMALL_FRAME_HW, LARGE_FRAME_HW = (36, 48), (100_000, 100_000)


@pytest.mark.filterwarnings("ignore:::PIL")  # what the readers have to say about odd files; the outcome counts
@pytest.mark.parametrize("sample", corpus.all_samples(), ids=lambda sample: sample.name)
def test_a_file_has_its_outcome(sample: Sample) -> None:
    if isinstance(sample.outcome, str):
        with pytest.raises(decode.DecodeError) as caught:
            decode.decode(sample.content, LARGE_FRAME_HW)
        assert caught.value.reason == sample.outcome
        return
    expected = sample.outcome.pixels
    found = decode.decode(sample.content, LARGE_FRAME_HW)
    assert found.size_hw == found.pixels.shape[:2] == expected.shape[:2] == decode.upright_size(sample.content)
    difference = np.abs(found.pixels.astype(int) - expected.astype(int)).mean()
    assert difference <= sample.outcome.tolerance
    assert decode.decode(sample.content, SMALL_FRAME_HW).size_hw == expected.shape[:2]


def test_the_tolerances_tell_the_eight_turns_apart() -> None:
    upright = drawing(48, 48).astype(int)
    widest = max(sample.outcome.tolerance for sample in corpus.all_samples() if isinstance(sample.outcome, Picture))
    for orientation in range(2, 9):
        assert np.abs(stored_for(drawing(48, 48), orientation) - upright).mean() > 2 * widest


def test_the_corpus_is_large_and_always_the_same() -> None:
    samples = corpus.all_samples()
    assert len(samples) >= 300
    assert len({sample.name for sample in samples}) == len(samples)
    again = corpus.all_samples.__wrapped__()
    assert [(sample.name, sample.content) for sample in again] == [(sample.name, sample.content) for sample in samples]


def test_bombs_are_refused_before_anything_is_allocated_for_them(tmp_path: pathlib.Path) -> None:
    bombs = [sample for sample in corpus.all_samples() if sample.bomb]
    assert len(bombs) >= 30
    ordinary = Sample("", "six-thousand.png", saved(Image.new("RGB", (6000, 5000)), "PNG"), "")
    reports = _decoded_by_a_child(tmp_path, [*bombs, ordinary])
    start = reports[0]["peak_bytes"]
    for sample, report in zip(bombs, reports[1:-1], strict=True):
        if isinstance(sample.outcome, str):
            assert report["outcome"] == sample.outcome, sample.name
        else:
            assert report["outcome"] == "64 x 48", sample.name
        assert report["peak_bytes"] - start < BOMBS_MAY_TAKE_BYTES, sample.name
    # the measure sees what a decoded picture takes
    assert reports[-1]["outcome"] == "6000 x 5000"
    assert reports[-1]["peak_bytes"] - start > BOMBS_MAY_TAKE_BYTES


def _decoded_by_a_child(folder: pathlib.Path, samples: list[Sample]) -> list[dict]:
    for sample in samples:
        (folder / sample.name).write_bytes(sample.content)
    names = "".join(f"{folder / sample.name}\n" for sample in samples)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.processes.bomb_child"],
        input=names, capture_output=True, text=True, check=False, timeout=120,
        cwd=pathlib.Path(__file__).parents[3],
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_picture_for_which_there_is_no_memory_says_so_and_the_next_one_is_fine(kind: str, tmp_path: pathlib.Path):
    picture = Image.new("RGB", (12000, 8000))  # 288 MB as RGB; the child may take 256
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    large = Sample("", f"large.{kind.lower()}", saved(picture, kind, **options), "")
    small = Sample("", "small.png", saved(Image.new("RGB", (60, 50)), "PNG"), "")
    _, first, second = _decoded_by_a_child(tmp_path, [large, small])
    assert first["outcome"] == "The image needs more memory than there is."
    assert second["outcome"] == "60 x 50"
