"""Each format that is read and written gives back what it says it carries: boxes, labels, scores, marks, sets and names."""

from __future__ import annotations

import contextlib
import csv
import pathlib
import tempfile
import tracemalloc
from collections.abc import Iterator

import pytest
from arro3 import io
from hypothesis import given, settings
from hypothesis import strategies as st

from boxwright import states
from boxwright.convert import account, dataset, formats, image_files, losses, options

BOTH_WAYS = [name for name in formats.READ if name in formats.WRITTEN]
OF_BOXES = [name for name in BOTH_WAYS if formats.FORMATS[name].carries_boxes]
OF_LABELS = [
    name for name in BOTH_WAYS if formats.FORMATS[name].carries_labels and name != "classes"
]  # which has files
TOLERANCE_NORM = 1e-6
LABELS = ["ace", "yes", "010", 'ß,"q"', "-", "<b> & 'c'", "猫"]
NAMES = ["a.jpg", "train/b.png", "my photos/ü.jpg", "x%20y.jpg", "#1/a;b.jpg", "c&d.jpg", "test/e's.png"]
SPANS = st.tuples(st.floats(0, 0.95), st.floats(0.05, 1)).map(lambda span: (span[0], min(1.0, span[0] + span[1])))
SCORES = st.floats(0, 1)
MARKS = st.frozensets(st.sampled_from(sorted(formats.ALL_MARKS)))
BOXES = st.lists(st.tuples(st.sampled_from(LABELS), SPANS, SPANS, MARKS, SCORES), max_size=4)
IMAGES = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(list(states.MlUse)),
        st.tuples(st.integers(64, 5000), st.integers(64, 5000)),
        BOXES,
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda image: image[0],
)
LABELLED = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(list(states.MlUse)),
        st.lists(st.tuples(st.sampled_from(LABELS), SCORES), max_size=3, unique_by=lambda one: one[0]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda image: image[0],
)
Boxes = list[tuple[str, tuple[float, ...], frozenset[str], float | None]]


@contextlib.contextmanager
def _open(folder: pathlib.Path) -> Iterator[tuple[dataset.Dataset, options.ConvertOptions]]:
    told = account.Account()
    with contextlib.closing(image_files.Finder([folder])) as finder, dataset.Dataset(told) as data:
        yield data, options.ConvertOptions(told, finder, voc_exact=True)


def _target(name: str, folder: pathlib.Path, *, as_file: bool) -> pathlib.Path:
    found = formats.FORMATS[name]
    suffix = found.target_suffixes[0] if found.target_suffixes and (as_file or not found.writes_folder) else ""
    return folder / f"out{suffix}"


def _written(
    name: str, data: dataset.Dataset, chosen: options.ConvertOptions, folder: pathlib.Path, *, as_file: bool
) -> pathlib.Path:
    data.seal()
    target = _target(name, folder, as_file=as_file)
    losses.tell(data, target, formats.FORMATS[name], chosen.told)
    formats.FORMATS[name].load().write(data, target, chosen)
    return target


def _check_boxes(name: str, images: list, scored: bool, as_file: bool) -> None:
    one = formats.FORMATS[name]
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        with _open(folder) as (data, chosen):
            for path, split, size_hw, boxes in images:
                image_id = data.add_image(path, split, size_hw, path)
                for label, x, y, marks, score in boxes:
                    box = dataset.Box(label, (x[0], y[0], x[1], y[1]), marks, score if scored else None)
                    data.add_box(image_id, box, path)
            target = _written(name, data, chosen, folder, as_file=as_file)
            told = chosen.told.counts()
        with _open(folder / "nowhere") as (data, chosen):
            one.load().read(target, data, chosen)
            data.seal()
            found = {picture.path: picture for picture in data.pictures()}
            assert not chosen.told.left_out_count
    assert found.keys() == {image[0] for image in images}
    keeps_sets = one.keeps_sets(target) and not (name == "vertex" and _has_scores(images, scored))
    for path, split, size_hw, boxes in images:
        picture = found[path]
        if keeps_sets:
            assert picture.split is split
        assert picture.size_hw in ((size_hw,) if one.needs_sizes else (None, size_hw))
        assert len(picture.boxes) == len(boxes)
        for got, (label, x, y, marks, score) in zip(picture.boxes, boxes, strict=True):
            assert got.label == label
            assert got.corners_norm == pytest.approx((x[0], y[0], x[1], y[1]), abs=TOLERANCE_NORM)
            assert got.marks == marks & one.marks
            assert got.score == (pytest.approx(score, abs=1e-9) if scored and one.carries_scores else None)
    _check_told(one, images, scored, told)


def _has_scores(images: list, scored: bool) -> bool:
    return scored and any(image[3] for image in images)


def _check_told(one: formats.Format, images: list, scored: bool, told: dict[str, int]) -> None:
    """What is lost is counted, each box of it."""
    every = [box for image in images for box in image[3]]
    for mark in formats.ALL_MARKS - one.marks:
        lost = sum(mark in box[3] for box in every)
        assert told.get(f"mark '{mark}' of a box, which {one.title} cannot carry", 0) == lost
    lost = len(every) if scored and not one.carries_scores else 0
    assert told.get(f"score of a box or label, which {one.title} cannot carry", 0) == lost
    if one.splits == formats.NEVER:
        of_sets = sum(image[1] is not states.MlUse.UNASSIGNED for image in images)
        assert told.get(losses.NO_SETS.format(one.title), 0) == of_sets


def _check_labels(name: str, images: list, scored: bool, as_file: bool) -> None:
    one = formats.FORMATS[name]
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        with _open(folder) as (data, chosen):
            for path, split, labels in images:
                image_id = data.add_image(path, split, (480, 640), path)
                for label, score in labels:
                    data.add_image_label(image_id, label, path, score if scored else None)
            target = _written(name, data, chosen, folder, as_file=as_file)
            told = chosen.told.counts()
        with _open(folder / "nowhere") as (data, chosen):
            one.load().read(target, data, chosen)
            data.seal()
            found = {picture.path: picture for picture in data.pictures()}
            assert not chosen.told.left_out_count
    assert found.keys() == {image[0] for image in images}
    for path, _, labels in images:
        picture = found[path]
        assert picture.boxes == ()
        assert picture.labels == tuple(label for label, _ in labels)
        keeps_scores = scored and one.carries_scores and one.carries_label_scores
        expected = [pytest.approx(score, abs=1e-9) if keeps_scores else None for _, score in labels]
        assert list(picture.label_scores) == expected
    lost = (
        sum(len(image[2]) for image in images)
        if scored and not (one.carries_scores and one.carries_label_scores)
        else 0
    )
    assert told.get(f"score of a box or label, which {one.title} cannot carry", 0) == lost


@pytest.mark.parametrize("name", OF_BOXES)
@settings(max_examples=25, deadline=None)
@given(images=IMAGES, scored=st.booleans(), as_file=st.booleans())
def test_boxes_come_back(name: str, images: list, scored: bool, as_file: bool) -> None:
    _check_boxes(name, images, scored, as_file)


@pytest.mark.parametrize("name", OF_LABELS)
@settings(max_examples=25, deadline=None)
@given(images=LABELLED, scored=st.booleans(), as_file=st.booleans())
def test_labels_of_images_come_back(name: str, images: list, scored: bool, as_file: bool) -> None:
    _check_labels(name, images, scored, as_file)


@pytest.mark.full
@pytest.mark.parametrize("name", OF_BOXES)
@settings(max_examples=100, deadline=None)
@given(images=IMAGES, scored=st.booleans(), as_file=st.booleans())
def test_a_hundred_sets_of_boxes_come_back(name: str, images: list, scored: bool, as_file: bool) -> None:
    _check_boxes(name, images, scored, as_file)


@pytest.mark.full
@pytest.mark.parametrize("name", OF_LABELS)
@settings(max_examples=100, deadline=None)
@given(images=LABELLED, scored=st.booleans(), as_file=st.booleans())
def test_a_hundred_sets_of_labels_come_back(name: str, images: list, scored: bool, as_file: bool) -> None:
    _check_labels(name, images, scored, as_file)


def _fill(data: dataset.Dataset, images: int) -> None:
    for number in range(images):
        image_id = data.add_image(f"{number}.jpg", states.MlUse.TRAIN, (480, 640), "here")
        for place in range(3):
            corners = (0.1 * place, 0.2, 0.5 + 0.1 * place, 0.9)
            data.add_box(image_id, dataset.Box(LABELS[place], corners, score=0.5 + place / 7), "here")


@pytest.mark.parametrize("name", [name for name in formats.WRITTEN if name != "classes"])
def test_the_same_boxes_are_the_same_bytes(name: str, tmp_path: pathlib.Path) -> None:
    found = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        with _open(tmp_path) as (data, chosen):
            _fill(data, 50)
            target = _written(name, data, chosen, tmp_path / run, as_file=False)
        files = [target] if target.is_file() else sorted(file for file in target.rglob("*") if file.is_file())
        found.append([(file.relative_to(tmp_path / run), file.read_bytes()) for file in files])
    assert found[0]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["csv", "coco"])  # a row at a time, and a document
def test_memory_does_not_grow_with_the_images(name: str, tmp_path: pathlib.Path) -> None:
    _check_memory(name, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("name", OF_BOXES)
def test_memory_grows_in_no_format(name: str, tmp_path: pathlib.Path) -> None:
    _check_memory(name, tmp_path)


def _check_memory(name: str, tmp_path: pathlib.Path) -> None:
    """A tenth of the images is converted first; what ten times as many take more is less than their boxes would be.

    These are converted twice: Python's table of interned names grows by megabytes at a time, in one of the two at most.
    """
    most_bytes = []
    for run, images in enumerate((600, 200, 2000, 2000)):  # the first run loads modules
        folder = tmp_path / str(run)
        with _open(tmp_path / "nowhere") as (data, chosen):
            _fill(data, images)
            folder.mkdir()
            tracemalloc.start()
            target = _written(name, data, chosen, folder, as_file=True)
            written_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        with _open(tmp_path / "nowhere") as (data, chosen):
            tracemalloc.start()
            formats.FORMATS[name].load().read(target, data, chosen)
            data.seal()
            read_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert data.count()[:2] == (images, 3 * images)
        most_bytes.append(max(written_bytes, read_bytes))
    assert min(most_bytes[2:]) - most_bytes[1] < 2_500_000, most_bytes  # a block of a file, and a batch of boxes


def test_a_flat_table_has_a_row_for_every_box(tmp_path: pathlib.Path) -> None:
    with _open(tmp_path) as (data, chosen):
        _fill(data, 2)
        data.add_image("empty.jpg", states.MlUse.TEST, None, "here")
        data.add_image_label(data.add_image("label.jpg", states.MlUse.TEST, None, "here"), "ace", "here", 0.25)
        data.seal()
        for suffix in (".csv", ".parquet"):
            formats.FORMATS["table"].load().write(data, tmp_path / f"x{suffix}", chosen)
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    table = io.read_parquet(tmp_path / "x.parquet").read_all()
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    assert list(columns) == list(rows[0])
    assert columns["image"] == ["0.jpg"] * 3 + ["1.jpg"] * 3 + ["empty.jpg", "label.jpg"]
    assert columns["label"] == LABELS[:3] * 2 + [None, "ace"]
    assert columns["x_max"][:4] == [0.5, 0.6, 0.7, 0.5] and columns["x_max"][6:] == [None, None]
    assert columns["score"][6:] == [None, 0.25]
    assert columns["width_px"] == [640] * 6 + [None, None]
    for name, values in columns.items():
        assert [row[name] for row in rows] == ["" if value is None else str(value) for value in values]
