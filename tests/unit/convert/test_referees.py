"""Other programs read what is written, and are read: panlabel converts it, pycocotools loads it; a thousand boxes agree."""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import pytest
from PIL import Image
from pycocotools.coco import COCO

from boxwright import cli

IMAGES, BOXES_EACH = 250, 4
WIDTH, HEIGHT = 640, 480
LABELS = ("cat", "dog", "traffic light")
# our name → (panlabel's, a suffix of the file that it reads and writes; none for a folder)
FORMATS = {
    "coco": ("coco", ".json"),
    "labelstudio": ("label-studio", ".json"),
    "cvat": ("cvat", ".xml"),
    "labelme": ("labelme", ""),
    "sagemaker": ("sagemaker", ".manifest"),
    "datumaro": ("datumaro", ".json"),
    "yolo": ("yolo", ""),
    "csv": ("automl-vision", ".csv"),
}
PANLABEL = shutil.which("panlabel", path=f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
TOLERANCE_PX = 0.001
Box = tuple[str, str, float, float, float, float]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of images, and a CSV with a thousand boxes on them."""
    folder, drawn = tmp_path_factory.mktemp("referees"), random.Random(20)
    picture, rows = Image.new("L", (WIDTH, HEIGHT)), []
    for number in range(IMAGES):
        picture.save(folder / f"{number:03d}.png")
        for _ in range(BOXES_EACH):
            x, y = drawn.randint(0, 500), drawn.randint(0, 400)
            right, bottom = x + drawn.randint(10, WIDTH - x), y + drawn.randint(10, HEIGHT - y)
            sides = (x / WIDTH, y / HEIGHT, right / WIDTH, bottom / HEIGHT)
            left, top, right_norm, bottom_norm = (f"{side:.9f}" for side in sides)
            label = drawn.choice(LABELS)
            rows.append(f"TRAIN,{number:03d}.png,{label},{left},{top},,,{right_norm},{bottom_norm},,")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "labels.csv"


def _convert(*words: object) -> None:
    assert cli.main(["convert", *map(str, words)]) == 0


def _panlabel(*words: object) -> None:
    assert PANLABEL, "panlabel is not installed"
    done = subprocess.run([PANLABEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _boxes(file: pathlib.Path) -> list[Box]:
    """(image, label, x, y, width, height) in pixels of a COCO file, by whoever wrote it."""
    document = json.loads(file.read_bytes())
    names = {image["id"]: pathlib.PurePosixPath(image["file_name"]).name for image in document["images"]}
    labels = {category["id"]: category["name"] for category in document["categories"]}
    found = [(names[one["image_id"]], labels[one["category_id"]], *one["bbox"]) for one in document["annotations"]]
    return sorted(found)


def _agree(one: list[Box], other: list[Box]) -> None:
    assert len(one) == len(other) == IMAGES * BOXES_EACH
    for ours, theirs in zip(one, other, strict=True):
        assert ours[:2] == theirs[:2]
        assert ours[2:] == pytest.approx(theirs[2:], abs=TOLERANCE_PX)


@pytest.mark.parametrize("name", FORMATS)
def test_panlabel_reads_a_thousand_boxes_as_they_are(name: str, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    theirs, suffix = FORMATS[name]
    written = tmp_path / f"written{suffix}"
    flags = ["--copy-images"] if name in ("yolo", "labelme") else []
    _convert(source, tmp_path / "plain.json", "--to", "coco")
    _convert(source, written, "--to", name, *flags)
    if name == "csv":
        for image in source.parent.glob("*.png"):
            (tmp_path / image.name).symlink_to(image)  # sizes come from there
    _panlabel(
        "convert", "--from", theirs, "--to", "coco", "-i", written, "-o", tmp_path / "theirs.json", "--allow-lossy"
    )
    _agree(_boxes(tmp_path / "plain.json"), _boxes(tmp_path / "theirs.json"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_thousand_boxes_that_panlabel_wrote_are_read(name: str, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    theirs, suffix = FORMATS[name]
    written = tmp_path / f"theirs{suffix}"
    _convert(source, tmp_path / "plain.json", "--to", "coco")
    _panlabel(
        "convert", "--from", "coco", "--to", theirs, "-i", tmp_path / "plain.json", "-o", written, "--allow-lossy"
    )
    _convert(written, tmp_path / "back.json", "--from", name, "--to", "coco", "--images", source.parent)
    _agree(_boxes(tmp_path / "plain.json"), _boxes(tmp_path / "back.json"))


def test_pycocotools_loads_the_file_and_its_scores(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _convert(source, tmp_path / "yolo", "--to", "yolo")
    for number, file in enumerate(sorted((tmp_path / "yolo" / "labels").glob("*.txt"))):
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("".join(f"{line} 0.{number:03d}\n" for line in lines), encoding="utf-8")
    _convert(tmp_path / "yolo", tmp_path / "scored.json", "--to", "coco", "--images", source.parent)
    _convert(source, tmp_path / "plain.json", "--to", "coco")
    plain, scored = COCO(str(tmp_path / "plain.json")), COCO(str(tmp_path / "scored.json"))
    assert len(plain.getAnnIds()) == IMAGES * BOXES_EACH
    results = scored.loadRes(scored.dataset["annotations"])
    assert sorted({one["score"] for one in results.anns.values()}) == [number / 1000 for number in range(IMAGES)]
    for number in plain.getImgIds():
        (ours,), (same,) = plain.loadImgs([number]), scored.loadImgs([number])
        assert ours["file_name"] == same["file_name"]
        boxes = [
            [one["bbox"] for one in found.loadAnns(found.getAnnIds(imgIds=[number]))] for found in (plain, results)
        ]
        assert [side for box in boxes[1] for side in box] == pytest.approx([side for box in boxes[0] for side in box])
