"""Anybody's folder: what is taken, and what is said about one that cannot be."""

from __future__ import annotations

import pathlib

import pytest

from boxwright.demo import __main__ as command
from boxwright.demo import dataset, folder, kinds


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with two files that stand for images."""
    (tmp_path / "source/images").mkdir(parents=True)
    (tmp_path / "source/images/a.jpg").write_bytes(b"a")
    (tmp_path / "source/images/b b.jpg").write_bytes(b"b")
    return tmp_path / "source"


def _write(source: pathlib.Path, *rows: str) -> None:
    (source / "labels.csv").write_text("".join(row + "\n" for row in rows))


def test_a_folder_is_brought_into_the_bucket(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _write(
        source,
        "train,images/a.jpg,cat,.1,0.2,,,0.3,0.4,,",
        "TRAIN,images/a.jpg,dog,0.5,0.6,0.7,0.6,0.7,0.9,0.5,0.9",
        "",
        "Validate,images/b b.jpg",
    )
    data = folder.link_dataset(source, tmp_path / "bucket", folder.read_labels(source))
    assert data.pictures == (
        dataset.DemoImage(
            "TRAIN", "images/a.jpg", (dataset.Box("cat", 0.1, 0.2, 0.3, 0.4), dataset.Box("dog", 0.5, 0.6, 0.7, 0.9))
        ),
        dataset.DemoImage("VALIDATION", "images/b b.jpg", ()),
    )
    assert (tmp_path / "bucket/images/b b.jpg").read_bytes() == b"b"
    dataset.write_import_csv(data, dataset.box_rows)
    assert (tmp_path / "bucket/labels.csv").read_text().splitlines() == [
        "TRAIN,gs://demo/images/a.jpg,cat,0.100000,0.200000,,,0.300000,0.400000,,",
        "TRAIN,gs://demo/images/a.jpg,dog,0.500000,0.600000,,,0.700000,0.900000,,",
        "VALIDATION,gs://demo/images/b b.jpg,,,,,,,,,",
    ]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ((), "has no rows"),  # an empty file
        (("TRAIN",), "row 1 has 1 columns; 11 are needed"),  # too short
        (("TRAIN,images/a.jpg,cat,0.1,0.1,,,0.2,0.2,,,x",), "row 1 has 12 columns"),  # too long
        (("TRAIN,images/a.jpg", "x,images/a.jpg"), "row 2: the set 'x'"),  # unknown set
        (("TRAIN,images/no.jpg,,,,,,,,,",), "row 1: there is no file"),  # missing image
        (("TRAIN,,,,,,,,,,",), "row 1: '' is not a path inside"),  # no path
        (("TRAIN,../a.jpg,,,,,,,,,",), "is not a path inside"),  # climbs out
        (("TRAIN,/etc/hosts,,,,,,,,,",), "is not a path inside"),  # absolute
        (("TRAIN,gs://b/a.jpg,,,,,,,,,",), "relative paths only"),  # an address
        (("TRAIN,images/a.jpg,cat,a,0.1,,,0.2,0.2,,",), "a coordinate is not a number"),  # text
        (("TRAIN,images/a.jpg,cat,0.1,0.1,,,2,0.2,,",), "from 0 to 1"),  # pixels, not fractions
        (("TRAIN,images/a.jpg,cat,0.1,0.1,,,,,,",), "two opposite corners"),  # one corner
        (("TRAIN,images/a.jpg,cat,0.1,0.1,0.2,0.2,,,,",), "two opposite corners"),  # in the wrong columns
        (("TRAIN,images/a.jpg,cat",), "a label a box. For labels of whole images, add --kind classification"),
        (("TRAIN,images/a.jpg,,0.1,0.1,,,0.2,0.2,,",), "a box needs a label"),  # box alone
    ],
)
def test_what_is_wrong_is_said_with_its_row(source: pathlib.Path, rows: tuple[str, ...], complaint: str) -> None:
    _write(source, *rows)
    with pytest.raises(dataset.DataError, match=r"labels\.csv") as caught:
        folder.read_labels(source)
    assert complaint in str(caught.value)


def test_a_folder_without_labels_is_refused(source: pathlib.Path) -> None:
    with pytest.raises(dataset.DataError, match=r"has no labels\.csv"):
        folder.read_labels(source)


def test_a_file_that_is_not_text_is_refused(source: pathlib.Path) -> None:
    (source / "labels.csv").write_bytes(b"\xff\xfe\x00TRAIN")
    with pytest.raises(dataset.DataError, match="not CSV in UTF-8"):
        folder.read_labels(source)


def test_without_test_images_the_nearest_set_is_predicted(tmp_path: pathlib.Path) -> None:
    def made(*uses: str) -> dataset.DataSet:
        return dataset.DataSet(tmp_path, tuple(dataset.DemoImage(use, f"{i}.jpg", ()) for i, use in enumerate(uses)))

    assert [p.key for p in made("TRAIN", "TEST").to_predict()] == ["1.jpg"]
    assert [p.key for p in made("TRAIN", "VALIDATION").to_predict()] == ["1.jpg"]
    assert [p.key for p in made("UNASSIGNED", "UNASSIGNED").to_predict()] == ["0.jpg", "1.jpg"]
    assert [p.key for p in made("TRAIN").to_predict()] == ["0.jpg"]


def test_only_a_folder_of_the_demo_is_emptied(tmp_path: pathlib.Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(command.OutError, match="was not made by the demo"):
        command._prepare_out(precious)
    assert (precious / "thesis.txt").read_text() == "years"
    (tmp_path / "out").mkdir()
    command._prepare_out(tmp_path / "out")
    (tmp_path / "out/old.txt").touch()
    command._prepare_out(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [command.MARKER]


def test_data_inside_the_output_folder_is_never_removed(source: pathlib.Path) -> None:
    _write(source, "TRAIN,images/a.jpg,,,,,,,,,")
    with pytest.raises(command.OutError, match="lies inside"):
        command._read_data(kinds.KINDS["detection"], source, source.parent)


def test_a_bad_folder_ends_the_command_with_a_sentence(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "has no labels.csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
