"""One row of the import CSV: every spelling that is accepted, and what is wrong with the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import states
from boxwright.runners import box_rows, import_rows

Use = states.MlUse
URI = "gs://b/i.jpg"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


ACCEPTED = [
    (f"TRAIN,{URI},,,,,,,,,", Use.TRAIN, "", None),  # an image with nothing in it
    (f"TRAIN,{URI}", Use.TRAIN, "", None),  # the empty columns left out
    (f"TRAIN,{URI},", Use.TRAIN, "", None),
    (URI, Use.UNASSIGNED, "", None),  # a path alone
    (f",{URI},car,.1,.2,,,.3,.4,,", Use.UNASSIGNED, "car", (0.1, 0.2, 0.3, 0.4)),  # no set
    (f"{URI},car,.1,.2,,,.3,.4,,", Use.UNASSIGNED, "car", (0.1, 0.2, 0.3, 0.4)),  # the set's column left out
    (f"TRAIN,{URI},car,0.1,0.2,,,0.3,0.4,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),
    (f"TRAINING,{URI},car,0.1,0.2,,,0.3,0.4,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),
    (f"train,{URI},car,0.1,0.2,,,0.3,0.4", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),  # lower case, short row
    (f"Training,{URI},,,,,,,,,", Use.TRAIN, "", None),
    (f"VALIDATE,{URI},,,,,,,,,", Use.VALIDATION, "", None),
    (f"VALIDATION,{URI},,,,,,,,,", Use.VALIDATION, "", None),
    (f"validate,{URI},,,,,,,,,", Use.VALIDATION, "", None),
    (f"Validation,{URI},,,,,,,,,", Use.VALIDATION, "", None),
    (f"TEST,{URI},,,,,,,,,", Use.TEST, "", None),
    (f"test,{URI},,,,,,,,,", Use.TEST, "", None),
    (f"UNASSIGNED,{URI},,,,,,,,,", Use.UNASSIGNED, "", None),
    (f"unassigned,{URI},,,,,,,,,", Use.UNASSIGNED, "", None),
    (f"TRAIN,{URI},car,0.3,0.4,,,0.1,0.2,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),  # bottom right first
    (f"TRAIN,{URI},car,0.3,0.2,,,0.1,0.4,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),  # top right first
    (f"TRAIN,{URI},car,0.1,0.4,,,0.3,0.2,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),  # bottom left first
    (f"TRAIN,{URI},car,0,0,,,1,1,,", Use.TRAIN, "car", (0.0, 0.0, 1.0, 1.0)),  # the whole image
    (f"TRAIN,{URI},car,-0.0000001,0,,,1.0000001,1,,", Use.TRAIN, "car", (0.0, 0.0, 1.0, 1.0)),  # a rounding over
    (f"TRAIN,{URI},car,1e-1,.2,,,3E-1,0.40,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),  # exponents
    (f"TRAIN,{URI},car,0.1,0.2,,,0.11,0.21,,", Use.TRAIN, "car", (0.1, 0.2, 0.11, 0.21)),  # the smallest box
    (f"TRAIN,{URI},Baked Goods,0.1,0.2,,,0.3,0.4,,", Use.TRAIN, "Baked Goods", (0.1, 0.2, 0.3, 0.4)),  # a space
    (f"TRAIN,{URI},Käse 🧀,0.1,0.2,,,0.3,0.4,,", Use.TRAIN, "Käse 🧀", (0.1, 0.2, 0.3, 0.4)),
    (f"TRAIN,{URI},{'x' * 128},0.1,0.2,,,0.3,0.4,,", Use.TRAIN, "x" * 128, (0.1, 0.2, 0.3, 0.4)),
    (f"TRAIN,{URI},NEGATIVE_IMAGE,,,,,,,,", Use.TRAIN, "", None),  # the older mark of an empty image
    (f"TRAIN,{URI},negative_image", Use.TRAIN, "", None),
    ("TEST,gs://b/a/b/ä +%20#?.png,,,,,,,,,", Use.TEST, "", None),  # odd names
    (f"TRAIN,{URI},car,0.1,0.2,,,0.3,0.4,,,,", Use.TRAIN, "car", (0.1, 0.2, 0.3, 0.4)),  # empty columns at the end
]


@pytest.mark.parametrize(("line", "ml_use", "label", "box"), ACCEPTED)
def test_a_row_is_accepted_in_every_spelling(line, ml_use, label, box):
    row = box_rows.parse(_cells(line))
    assert (row.ml_use, row.annotations) == (ml_use, ((label, box),) if label else ())
    assert row.uri in line


CORNERS = [(0.1, 0.2), (0.3, 0.2), (0.3, 0.4), (0.1, 0.4)]


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("direction", [1, -1])
def test_four_vertices_may_start_anywhere_and_go_either_way(first, direction):
    order = [CORNERS[(first + direction * step) % 4] for step in range(4)]
    coordinates = [str(value) for vertex in order for value in vertex]
    assert box_rows.parse(["TRAIN", URI, "car", *coordinates]).annotations == (("car", (0.1, 0.2, 0.3, 0.4)),)


REFUSED = [
    ("TRIAN,{},car,0.1,0.2,,,0.3,0.4,,", "column 1: 'TRIAN' is none of TRAIN, VALIDATION, TEST, UNASSIGNED"),
    ("TRAIN", "column 2: the image's gs:// path is missing"),
    ("TRAIN,,car,0.1,0.2,,,0.3,0.4,,", "column 2: the image's gs:// path is missing"),
    (
        "TRAIN,/etc/passwd,car,0.1,0.2,,,0.3,0.4,,",
        "column 2: '/etc/passwd' is not a usable gs:// path",
    ),
    ("TRAIN,http://x/i.jpg", "column 2: "),
    ("TRAIN,s3://b/i.jpg", "column 2: "),
    ("TRAIN,state://boxwright/plan.json", "column 2: "),  # the service's own state is nobody's
    ("TRAIN,gs://b/../../etc/passwd", "column 2: "),
    ("TRAIN,gs://b//etc/passwd", "column 2: "),
    ("TRAIN,gs://b", "column 2: "),  # a bucket
    ("TRAIN,gs://b/", "column 2: "),
    ("TRAIN,gs://b/folder/", "column 2: "),  # a folder
    ("TRAIN,gs:///i.jpg", "column 2: "),  # no bucket
    ("TRAIN,gs://b/" + "x" * 2000, "column 2: "),  # too long
    ("TRAIN,{},car", "column 4: label 'car' comes without a box"),
    ("TRAIN,{},,0.1,0.2,,,0.3,0.4,,", "column 3: the box has no label"),
    ("TRAIN,{}," + "x" * 129 + ",0.1,0.2,,,0.3,0.4,,", "column 3: a label is printable text of at most 128"),
    ("TRAIN,{},a\x07b,0.1,0.2,,,0.3,0.4,,", "column 3: a label is printable"),
    ("TRAIN,{},car,a,0.2,,,0.3,0.4,,", "column 4: the text there is not a number"),
    ("TRAIN,{},car,0.1,,,,0.3,0.4,,", "columns 4 to 11: a box is two opposite vertices"),
    ("TRAIN,{},car,0.1,0.2,,,,,,", "columns 4 to 11: a box is two"),  # one vertex
    ("TRAIN,{},car,0.1,0.2,0.3,0.4,,,,", "columns 4 to 11: a box is two"),  # the second vertex in the wrong columns
    ("TRAIN,{},car,0.1,0.2,0.3,0.2,0.3,0.4,,", "columns 4 to 11: a box is two"),  # three vertices
    ("TRAIN,{},car,0.1,0.2,,,1.3,0.4,,", "column 8: 1.3 is outside 0 to 1"),
    ("TRAIN,{},car,0.1,-0.2,,,0.3,0.4,,", "column 5: -0.2 is outside 0 to 1"),
    ("TRAIN,{},car,10,20,,,30,40,,", "column 4: 10 is outside 0 to 1"),  # pixels
    ("TRAIN,{},car,nan,0.2,,,0.3,0.4,,", "column 4: nan is outside"),
    ("TRAIN,{},car,0.1,0.2,,,0.3,inf,,", "column 9: inf is outside"),
    ("TRAIN,{},car,0.1,0.2,,,0.1,0.4,,", "the box is 0.0000 by 0.2000"),  # no width
    ("TRAIN,{},car,0.1,0.2,,,0.105,0.4,,", "each edge must be at least 0.01"),
    ("TRAIN,{},car,0.1,0.2,0.3,0.25,0.3,0.4,0.1,0.4", "the four vertices do not form a rectangle"),  # askew
    ("TRAIN,{},car,0.1,0.2,0.3,0.4,0.3,0.2,0.1,0.4", "the four vertices do not form a rectangle"),  # a bow tie
    ("TRAIN,{},car,0.1,0.2,0.1,0.2,0.3,0.4,0.3,0.4", "the four vertices do not form a rectangle"),  # two points
    ("TRAIN,{},car,0.1,0.2,0.3,0.2,0.3,0.4,0.2,0.4", "the four vertices do not form a rectangle"),  # a trapezium
    ("TRAIN,{},car,0.1,0.2,,,0.3,0.4,,,extra", "it has 12 columns; at most 11"),
]


@pytest.mark.parametrize(("line", "reason"), REFUSED)
def test_a_bad_row_says_which_column_is_wrong_and_why(line, reason):
    with pytest.raises(import_rows.BadRow) as raised:
        box_rows.parse(_cells(line.replace("{}", URI)))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


@given(
    st.lists(st.text(max_size=12) | st.sampled_from(["TRAIN", URI, "0.1", "0.9", "", "car"]), min_size=1, max_size=13)
)
def test_no_cells_do_more_than_raise_a_bad_row(cells):
    try:
        row = box_rows.parse(cells)
    except import_rows.BadRow as error:
        assert str(error)
    else:
        assert row.uri.startswith("gs://")
        for label, box in row.annotations:
            assert label and box is not None
            x_min, y_min, x_max, y_max = box
            assert 0 <= x_min < x_max <= 1
            assert 0 <= y_min < y_max <= 1
