"""List filters: what is understood, what it means, and that nothing else gets through."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors
from boxwright.services import filters

UNDERSTOOD = [
    ("", []),  # nothing
    ("   ", []),
    ('""', []),  # nothing, in quotes
    ("dataset_id=IOD1", [("dataset_id", "IOD1", False)]),
    ("dataset_id = IOD1", [("dataset_id", "IOD1", False)]),
    ("dataset_id!=IOD1", [("dataset_id", "IOD1", True)]),
    ("dataset_id:IOD1", [("dataset_id", "IOD1", False)]),
    ("datasetId=IOD1", [("dataset_id", "IOD1", False)]),  # camelCase
    ("NOT dataset_id=IOD1", [("dataset_id", "IOD1", True)]),
    ("NOT dataset_id!=IOD1", [("dataset_id", "IOD1", False)]),  # twice no
    ("-dataset_id=IOD1", [("dataset_id", "IOD1", True)]),
    ("annotation_spec_id:*", [("annotation_spec_id", None, False)]),
    ("annotation_spec_id : *", [("annotation_spec_id", None, False)]),
    ("NOT annotation_spec_id:*", [("annotation_spec_id", None, True)]),
    ("imageObjectDetectionModelMetadata:*", [("image_object_detection_model_metadata", None, False)]),
    ('dataset_id="IOD 1"', [("dataset_id", "IOD 1", False)]),  # quotes keep spaces
    ("dataset_id='IOD1'", [("dataset_id", "IOD1", False)]),
    ('dataset_id=""', [("dataset_id", "", False)]),
    ('"dataset_id=IOD1"', [("dataset_id", "IOD1", False)]),  # the whole filter in quotes
    ("done=true AND worksOn=projects/p", [("done", "true", False), ("works_on", "projects/p", False)]),
    ("done=true and worksOn=p", [("done", "true", False), ("works_on", "p", False)]),
    ("label=\"'x'\"", [("label", "'x'", False)]),  # one pair of quotes is taken off
    (r"""label="say \"a\\b\" 'c' C:\d" """, [("label", r"""say "a\b" 'c' C:\d""", False)]),
    (r"label='it\'s' AND x=1", [("label", "it's", False), ("x", "1", False)]),
    ("a=1 AND b=2 AND NOT c:*", [("a", "1", False), ("b", "2", False), ("c", None, True)]),
    ("worksOn=projects/p/locations/l/datasets/IOD5", [("works_on", "projects/p/locations/l/datasets/IOD5", False)]),
]


@pytest.mark.parametrize(("text", "terms"), UNDERSTOOD)
def test_a_filter_is_parsed_into_terms_that_must_all_hold(text, terms):
    assert [(term.field, term.value, term.negated) for term in filters.parse(text)] == terms


NOT_UNDERSTOOD = [
    "dataset_id",  # no operator
    "dataset_id=",  # no value
    "=IOD1",  # no field
    "dataset_id=IOD1 OR dataset_id=IOD2",  # OR is not offered
    "dataset_id=IOD1 dataset_id=IOD2",  # no AND
    "dataset_id=IOD1 AND",  # nothing after AND
    "AND dataset_id=IOD1",
    "(dataset_id=IOD1)",
    'dataset_id="IOD1',  # a quote left open
    "dataset_id>",  # no value
    "dataset_id=>IOD1",
    "dataset_id<>IOD1",
    'label="' + "\\\\" * 1900,  # a quote left open, after very many backslashes
    "'; DROP TABLE models; --",
    "*",
    "x" * 5000,
]


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_other_filters_are_an_invalid_argument_that_quotes_the_place(text):
    with pytest.raises(errors.ApiError) as raised:
        filters.parse(text)
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert "Field: filter" in raised.value.message
    assert len(raised.value.message) < 400


TABLE = sa.Table(
    "things", sa.MetaData(), sa.Column("id", sa.String), sa.Column("spec", sa.String), sa.Column("boxes", sa.Integer)
)
CLAUSES = {
    "id": filters.equals(TABLE.c.id),
    "spec": filters.equals(TABLE.c.spec),
    "boxes": filters.number(TABLE.c.boxes),
    "one": filters.one_of(TABLE.c.id, ("a", "b")),
}


@pytest.fixture(scope="module")
def connection():
    with sa.create_engine("sqlite://").connect() as opened:
        TABLE.metadata.create_all(opened)
        opened.execute(TABLE.insert(), [{"id": "a", "spec": "", "boxes": 1}, {"id": "b", "spec": "1", "boxes": None},
                                         {"id": "c", "spec": "2", "boxes": 20}])  # fmt: skip
        yield opened


MEANING = [
    ("", "abc"),
    ("id=a", "a"),
    ("id!=a", "bc"),
    ("NOT id=a", "bc"),
    ("id=z", ""),
    ("spec:*", "bc"),  # has a spec
    ("NOT spec:*", "a"),  # has none
    ("spec!=1", "ac"),
    ("spec:* AND id!=b", "c"),
    ("id=a AND id=b", ""),
    ("id='a OR 1=1'", ""),  # a value is only ever a value
    ("boxes>1", "c"),
    ("boxes >= 1", "ac"),
    ("boxes<20", "a"),
    ("boxes<=2e1", "ac"),
    ("boxes=20", "c"),
    ("boxes!=20", "ab"),  # what has no number is not 20
    ("NOT boxes>1", "ab"),
    ("boxes>1 AND boxes<5", ""),
    ("one=a", "a"),
]


@pytest.mark.parametrize(("text", "ids"), MEANING)
def test_a_filter_selects_the_rows_that_it_says(connection, text, ids):
    query = filters.apply(sa.select(TABLE.c.id).order_by(TABLE.c.id), text, CLAUSES)
    assert "".join(connection.execute(query).scalars()) == ids


def test_an_unknown_field_is_refused_with_the_fields_that_there_are():
    with pytest.raises(errors.ApiError, match="Unknown field 'colour'; this list filters by: boxes, id, one, spec"):
        filters.apply(sa.select(TABLE), "colour=red", CLAUSES)


def test_a_field_that_only_exists_is_not_compared():
    clauses = {"kind": filters.existence(lambda field: sa.true(), "kind")}
    filters.apply(sa.select(TABLE), "kind:*", clauses)
    with pytest.raises(errors.ApiError, match=r"can only be tested for existence, as kind:\*"):
        filters.apply(sa.select(TABLE), "kind=x", clauses)


ALPHABET = st.sampled_from(
    [
        "id",
        "spec",
        "boxes",
        "1",
        "<",
        ">=",
        "\\",
        "=",
        "!=",
        ":*",
        ":",
        "AND",
        "NOT",
        " ",
        '"',
        "'",
        "a",
        "-",
        "*",
        "(",
        "\0",
        "ä",
        "\n",
    ]
)


@given(st.lists(ALPHABET, max_size=14).map("".join) | st.text(max_size=60))
def test_no_text_does_more_than_select_or_raise_an_api_error(text):
    try:
        query = filters.apply(sa.select(TABLE), text, CLAUSES)
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT
    else:
        str(query)


@pytest.mark.parametrize("text", ["boxes>many", "boxes=", "boxes<nan", "boxes>=inf", "boxes:*"])
def test_a_number_is_compared_with_numbers_only(text):
    with pytest.raises(errors.ApiError, match="Field: filter"):
        filters.apply(sa.select(TABLE), text, CLAUSES)


def test_what_is_no_number_is_not_compared():
    with pytest.raises(errors.ApiError, match="Field 'spec' is no number"):
        filters.apply(sa.select(TABLE), "spec>1", CLAUSES)
    with pytest.raises(errors.ApiError, match="one is one of: a, b"):
        filters.apply(sa.select(TABLE), "one=c", CLAUSES)


@pytest.mark.parametrize(("text", "holds"), [("n>2", "3"), ("n<=2", "12"), ("NOT n>2", "12-"), ("n!=2", "13-")])
def test_a_term_is_compared_with_a_number_without_a_table(text, holds):
    (term,) = filters.parse(text)
    assert "".join(name for name, number in zip("123-", (1, 2, 3, None), strict=True) if term.holds(number)) == holds


def test_an_order_is_a_field_that_the_list_has_and_a_direction():
    known = ("import_order", "update_time")
    assert filters.order("", known) == ("import_order", False)
    assert filters.order(" updateTime  desc ", known) == ("update_time", True)
    assert filters.order("update_time asc", known) == ("update_time", False)
    for text in ("size", "update_time down", "update_time desc, import_order", "desc"):
        with pytest.raises(errors.ApiError, match="import_order, update_time, each with or without"):
            filters.order(text, known)
