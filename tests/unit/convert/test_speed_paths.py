"""What is done the fast way gives what the plain way gives: cells of a CSV, ids that were seen before."""

from __future__ import annotations

import csv
import io
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import cli
from boxwright.convert import import_csv, number_runs

NAMES = st.one_of(
    st.integers(0, 30).map(str), st.sampled_from(["", "01", "-1", "a", "\u0663", "9" * 18, "9" * 19, "1.0"])
)
SIDE = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 1e-9, 1e-12, 0.1 + 0.2, 1 / 640]))


@given(st.lists(NAMES, max_size=30))
def test_a_run_and_a_set_know_the_same_names(names: list[str]):
    run, others, seen = number_runs.NumberRange(), set[str](), set[str]()
    for name in names:
        is_new = run.takes(name)
        if not is_new:
            assert (name in run or name in others) == (name in seen)
            if name not in run:
                others.add(name)
        else:
            assert name not in seen
        seen.add(name)


@given(st.text(max_size=8), st.tuples(SIDE, SIDE, SIDE, SIDE))
def test_cells_are_those_of_the_csv_module_and_numbers_have_nine_decimals_at_most(text: str, sides):
    numbers = [f"{side:.9f}".rstrip("0").rstrip(".") for side in sides]
    target = io.StringIO(newline="")
    row = ["TRAIN", text, *numbers[:2], "", "", *numbers[2:], "", ""]
    csv.writer(target, lineterminator="\n").writerow(row)
    assert f"TRAIN,{import_csv._cell(text)},{import_csv._corners(sides)}\n" == target.getvalue()


@pytest.mark.parametrize("ids", [[1, 2, 3, 4], [7, 3, 9, 1], ["a", "b", 1, 2]])
@pytest.mark.parametrize("repeated", [0, 2, 3])
def test_an_annotation_id_that_stands_twice_is_told_whatever_the_others_are(
    ids, repeated, tmp_path: pathlib.Path, capsys
):
    box = {"image_id": 5, "category_id": 1, "iscrowd": 0}
    listed = [{"id": one, "bbox": [index, 1, 9, 9], **box} for index, one in enumerate([*ids, ids[repeated]])]
    document = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 64, "height": 48}],
        "annotations": listed,
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "c.json").write_text(json.dumps(document))
    assert cli.main(["convert", str(tmp_path / "c.json"), str(tmp_path / "c.csv")]) == 0
    assert "1 × COCO annotation with the id of another" in capsys.readouterr().out
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 5
