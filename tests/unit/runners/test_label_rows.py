"""One row of the import CSV of image classification: what is accepted, and what is wrong with the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import states
from boxwright.runners import import_rows, label_rows

Use = states.MlUse
URI = "gs://b/i.jpg"
MANY = tuple(f"label {number}" for number in range(200))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


ACCEPTED = [
    (f"TRAIN,{URI},daisy", Use.TRAIN, ("daisy",)),
    (f"TEST,{URI},dandelion,tulip,rose", Use.TEST, ("dandelion", "tulip", "rose")),
    (f"UNASSIGNED,{URI},daisy", Use.UNASSIGNED, ("daisy",)),
    (f"VALIDATION,{URI},daisy", Use.VALIDATION, ("daisy",)),
    (f"train,{URI},daisy", Use.TRAIN, ("daisy",)),
    (f",{URI},daisy", Use.UNASSIGNED, ("daisy",)),
    (f"{URI},daisy", Use.UNASSIGNED, ("daisy",)),  # the set's column left out
    (f"{URI},daisy,tulip", Use.UNASSIGNED, ("daisy", "tulip")),
    (URI, Use.UNASSIGNED, ()),  # not labelled yet
    (f"TRAIN,{URI}", Use.TRAIN, ()),
    (f"TRAIN,{URI},,,", Use.TRAIN, ()),
    (f"TRAIN,{URI},daisy,,tulip,", Use.TRAIN, ("daisy", "tulip")),
    (f"TRAIN,{URI},daisy,daisy", Use.TRAIN, ("daisy",)),
    (f"TRAIN,{URI},Daisy,daisy", Use.TRAIN, ("Daisy", "daisy")),
    (f"TRAIN,{URI},None_of_the_above", Use.TRAIN, ("None_of_the_above",)),
    (f"TRAIN,{URI},NEGATIVE_IMAGE", Use.TRAIN, ("NEGATIVE_IMAGE",)),  # a mark in lists of boxes only
    (f"TRAIN,{URI},Gänse blümchen 🌼", Use.TRAIN, ("Gänse blümchen 🌼",)),
    (f"TRAIN,{URI},{'x' * 128}", Use.TRAIN, ("x" * 128,)),
    (f"TRAIN,{URI},7", Use.TRAIN, ("7",)),
    (f"TRAIN,{URI},7,0,1", Use.TRAIN, ("7", "0", "1")),
    (f"TRAIN,{URI}," + ",".join(MANY), Use.TRAIN, MANY),
]  # fmt: skip


@pytest.mark.parametrize(("line", "ml_use", "labels"), ACCEPTED)
def test_a_row_is_accepted_in_every_spelling(line, ml_use, labels):
    row = label_rows.parse(_cells(line))
    assert (row.ml_use, row.uri) == (ml_use, URI)
    assert row.annotations == tuple((label, None) for label in labels)


REFUSED = [
    ("TRIAN,{},daisy", "column 1: 'TRIAN' is none of TRAIN, VALIDATION, TEST, UNASSIGNED"),
    ("TRAIN", "column 2: the image's gs:// path is missing"),
    ("TRAIN,,daisy", "column 2: the image's gs:// path is missing"),
    ("TRAIN,/etc/passwd,daisy", "column 2: '/etc/passwd' is not a usable gs:// path"),
    ("TRAIN,s3://b/i.jpg,daisy", "column 2: "),
    ("daisy,{}", "column 1: the text there is none of"),  # the columns in another order
    ("TRAIN,{}," + "x" * 129, "column 3: a label is printable text of at most 128"),
    ("TRAIN,{},daisy," + "x" * 129, "column 4: a label is printable text of at most 128"),
    ("TRAIN,{},a\x07b", "column 3: a label is printable"),
    ("TRAIN,{},car,0.1,0.2,,,0.3,0.4,,", "columns 4 to 11: this row has a box; boxes are for datasets of object detection"),
    ("TRAIN,{},car,0.1,0.2,,,0.3,0.4", "columns 4 to 11: this row has a box"),
    ("{},car,0.1,0.2,,,0.3,0.4,,", "columns 4 to 11: this row has a box"),
    ("TRAIN,{},car,0.1,0.2,0.3,0.2,0.3,0.4,0.1,0.4", "columns 4 to 11: this row has a box"),
    ("TRAIN;{};daisy", "separated by semicolons"),
    ("set,path,label", "header row"),
    ("ml_use,gcs_uri,label1,label2", "header row"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), REFUSED)
def test_a_bad_row_says_which_column_is_wrong_and_why(line, reason):
    with pytest.raises(import_rows.BadRow) as raised:
        label_rows.parse(_cells(line.replace("{}", URI)))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


@given(
    st.lists(st.text(max_size=12) | st.sampled_from(["TRAIN", URI, "0.1", "0.9", "", "car"]), min_size=1, max_size=13)
)
def test_no_cells_do_more_than_raise_a_bad_row(cells):
    try:
        row = label_rows.parse(cells)
    except import_rows.BadRow as error:
        assert str(error)
    else:
        assert row.uri.startswith("gs://")
        assert all(label and box is None for label, box in row.annotations)
        assert len({label for label, _ in row.annotations}) == len(row.annotations)
