"""Rows as people write them: what is wrong with each as a whole."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import row_hints

SCHEMES = ("gs", "s3")
BOX = "0.1,0.1,,,0.5,0.5,,"

OF_IMAGE_LIST = [
    (f"TRAIN,gs://b/a.jpg,car,{BOX}", "row of an import CSV"),
    (f"validation,gs://b/a.jpg,car,{BOX}", "row of an import CSV"),
    (f",gs://b/a.jpg,car,{BOX}", "row of an import CSV"),
    ("1,gs://b/a.jpg", "the address is in column 2; a list has it in column 1"),
    ("1,2,s3://b/a.jpg", "the address is in column 3"),
    ("TRAIN;gs://b/a.jpg;car", "separated by semicolons"),
    ("1\tgs://b/a.jpg", "separated by tabs"),
    ("1|gs://b/a.jpg", "separated by bars"),
    ("sep=;", "delete it"),
    ("# gs://b/a.jpg", "no comments"),
    ("image", "header row"),
    ("GCS_FILE_PATH", "header row"),
    ("image path,label", "header row"),
    ("path;label", "header row"),
    ("Bild", "if this is a header row, delete it"),
    ("gs://b/dir/", "name it beside the list, as an input of its own"),
    ("gs://b/", "name it beside the list, as an input of its own"),
]


@pytest.mark.parametrize(("line", "hint"), OF_IMAGE_LIST)
def test_a_row_of_a_list_of_images_is_known_for_what_it_is(line, hint):
    (cells,) = csv.reader([line])
    found = row_hints.of_image_list(cells, SCHEMES, is_first=True)
    assert found is not None
    assert hint in found


OF_IMPORT = [
    ("TRAIN;gs://b/a.jpg;car;0.1;0.1;;;0.5;0.5;;", "separated by semicolons"),
    ("TRAIN;gs://b/a.jpg;car;0,1;0,1;;;0,5;0,5;;", "separated by semicolons"),  # commas in numbers
    ("TRAIN\tgs://b/a.jpg\tcar\t0.1\t0.1\t\t\t0.5\t0.5", "separated by tabs"),
    ("set,path,label,x1,y1,x2,y2,x3,y3,x4,y4", "header row"),
    ("ML_USE,GCS_FILE_PATH,LABEL,X_MIN,Y_MIN,,,X_MAX,Y_MAX,,", "header row"),
    ("split,filename,class,xmin,ymin,,,xmax,ymax,,", "header row"),
    ("# a comment", "no comments"),
]


@pytest.mark.parametrize(("line", "hint"), OF_IMPORT)
def test_a_row_of_an_import_is_known_for_what_it_is(line, hint):
    (cells,) = csv.reader([line])
    found = row_hints.of_import(cells, SCHEMES)
    assert found is not None
    assert hint in found


@pytest.mark.parametrize("line", ["gs://b", "gs://b/x,car", "'gs://b/a.jpg',gs://b/b.jpg", "gs://b/../a.jpg"])
def test_an_address_in_the_first_column_is_where_it_belongs(line):
    assert row_hints.of_image_list(line.split(","), SCHEMES) is None


@pytest.mark.parametrize("line", ["TRAIN,gs://b/a.jpg,car", "nonsense here", "API_TOKEN=5f3c", "a,b"])
def test_other_rows_have_no_hint(line):
    assert row_hints.of_import(line.split(","), SCHEMES) is None


CELLS = st.lists(
    st.text(max_size=20) | st.sampled_from(["TRAIN", "gs://b/a.jpg", "path", "", "a;gs://b/a.jpg"]), min_size=1
)


@given(CELLS, st.booleans())
def test_a_hint_never_repeats_a_cell(cells, is_first):
    secret = "5f3cQ"
    for found in (
        row_hints.of_import([cell + secret for cell in cells], SCHEMES),
        row_hints.of_image_list([cell + secret for cell in cells], SCHEMES, is_first=is_first),
    ):
        assert found is None or secret not in found
