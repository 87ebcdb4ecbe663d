"""The drawn data set is valid, varied and the same every time."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from boxwright.demo import dataset, drawn, shapes

SIZES = drawn.Sizes(train=30, validation=4, test=6)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dataset.DataSet:
    return drawn.draw_dataset(tmp_path_factory.mktemp("drawn"), 7, SIZES)


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_draws_the_same_bytes(tmp_path: pathlib.Path) -> None:
    few = drawn.Sizes(train=3, validation=1, test=1)
    one = drawn.draw_dataset(tmp_path / "one", 5, few)
    two = drawn.draw_dataset(tmp_path / "two", 5, few)
    other = drawn.draw_dataset(tmp_path / "other", 6, few)
    assert one.pictures == two.pictures
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    assert one.pictures != other.pictures


def test_every_box_is_one_that_an_import_accepts(data: dataset.DataSet) -> None:
    for picture in data.pictures:
        with Image.open(data.folder / picture.key) as stored:
            width, height = ImageOps.exif_transpose(stored).size
        for box in picture.boxes:
            assert box.label in shapes.KINDS
            assert 0 <= box.x_min < box.x_max <= 1
            assert 0 <= box.y_min < box.y_max <= 1
            assert (box.x_max - box.x_min) * width >= 8
            assert (box.y_max - box.y_min) * height >= 8


def test_the_set_is_varied(data: dataset.DataSet) -> None:
    assert {box.label for picture in data.pictures for box in picture.boxes} == set(shapes.KINDS)
    assert any(not picture.boxes for picture in data.pictures), "no empty image"
    assert {pathlib.PurePosixPath(picture.key).suffix for picture in data.pictures} == {".jpg", ".png"}
    assert (data.count("TRAIN"), data.count("VALIDATION"), data.count("TEST")) == (30, 4, 6)
    turned = 0
    for picture in data.pictures:
        with Image.open(data.folder / picture.key) as stored:
            turned += stored.getexif().get(drawn.EXIF_ORIENTATION, 1) != 1
    assert turned, "no image with an EXIF orientation"


@pytest.mark.parametrize("orientation", sorted(drawn.STORED_TURNS))
def test_a_turned_photograph_is_displayed_upright(orientation: int) -> None:
    upright = Image.fromarray(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3))
    stored = upright.transpose(drawn.STORED_TURNS[orientation])
    stored.getexif()[drawn.EXIF_ORIENTATION] = orientation
    assert ImageOps.exif_transpose(stored).tobytes() == upright.tobytes()


def test_the_box_of_a_cut_off_object_fits_what_is_shown() -> None:
    specimen = Image.new("RGBA", (40, 40))
    specimen.paste((255, 0, 0, 255), (0, 0, 40, 10))  # a wide bar …
    specimen.paste((255, 0, 0, 255), (0, 0, 10, 40))  # … and a tall one, meeting at the top left
    assert drawn._shown_box(specimen, (-20, 50), (100, 100)) == (0, 50, 20, 60)


@pytest.mark.parametrize("kind", shapes.KINDS)
def test_a_specimen_is_cropped_to_what_is_visible(kind: str) -> None:
    specimen = shapes.draw(kind, np.random.default_rng(3), 90)
    assert max(specimen.size) == 90
    left, top, right, bottom = shapes.visible_box(specimen)
    assert left <= 1
    assert top <= 1
    assert right >= specimen.width - 1
    assert bottom >= specimen.height - 1


def test_the_batch_list_holds_the_test_images_and_two_broken_entries(data: dataset.DataSet) -> None:
    uri = dataset.write_batch_csv(data)
    lines = (data.folder / dataset.BATCH_CSV).read_text().splitlines()
    assert uri == "gs://demo/batch.csv"
    assert lines[:6] == [picture.uri for picture in data.pictures if picture.ml_use == "TEST"]
    missing, truncated = (data.folder / line.removeprefix("gs://demo/") for line in lines[6:])
    assert not missing.exists()
    with Image.open(truncated) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_the_import_list_has_eleven_columns_and_a_row_for_every_empty_image(data: dataset.DataSet) -> None:
    dataset.write_import_csv(data, dataset.box_rows)
    rows = [line.split(",") for line in (data.folder / dataset.IMPORT_CSV).read_text().splitlines()]
    assert {len(row) for row in rows} == {11}
    assert [row[1] for row in rows if not any(row[2:])] == [p.uri for p in data.pictures if not p.boxes]
    assert sum(bool(row[2]) for row in rows) == sum(len(picture.boxes) for picture in data.pictures)


def test_a_labelled_set_has_one_object_an_image_and_its_kind_is_the_label(tmp_path: pathlib.Path) -> None:
    data = drawn.draw_labelled_dataset(tmp_path, 7, drawn.Sizes(train=10, validation=5, test=5))
    assert [picture.labels for picture in data.pictures] == [(shapes.KINDS[i % len(shapes.KINDS)],) for i in range(20)]
    assert not any(picture.boxes for picture in data.pictures) and not data.is_multilabel
    for picture in data.pictures:
        with Image.open(data.folder / picture.key) as stored:
            stored.load()
    dataset.write_import_csv(data, dataset.label_rows)
    rows = (data.folder / dataset.IMPORT_CSV).read_text().splitlines()
    assert rows == [f"{picture.ml_use},{picture.uri},{picture.labels[0]}" for picture in data.pictures]
