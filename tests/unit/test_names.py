"""Resource names: what is parsed, what is printed, and what hostile text meets."""

from __future__ import annotations

import time

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors, names

LOCATION = "projects/p/locations/us-central1"

PARSED = [
    (names.LocationName, LOCATION, {"project": "p", "location": "us-central1"}),
    (names.LocationName, "projects/example.com:my-p/locations/l", {"project": "example.com:my-p", "location": "l"}),
    (names.LocationName, "projects/233822521623/locations/eu", {"project": "233822521623", "location": "eu"}),
    (names.DatasetName, f"{LOCATION}/datasets/IOD1", {"dataset": "IOD1"}),
    (
        names.AnnotationSpecName,
        f"{LOCATION}/datasets/IOD1/annotationSpecs/38",
        {"dataset": "IOD1", "annotation_spec": "38"},
    ),
    (names.ModelName, f"{LOCATION}/models/IOD4412217016962778756", {"model": "IOD4412217016962778756"}),
    (names.ModelName, f"{LOCATION}/models/-", {"model": "-"}),  # the wildcard
    (names.ModelEvaluationName, f"{LOCATION}/models/m/modelEvaluations/68", {"model": "m", "model_evaluation": "68"}),
    (names.OperationName, f"{LOCATION}/operations/IOD926615623331479552", {"operation": "IOD926615623331479552"}),
]


@pytest.mark.parametrize(("kind", "text", "fields"), PARSED)
def test_a_name_is_parsed_into_its_fields_and_printed_as_it_was(kind, text, fields):
    name = kind.parse(text)
    assert {field: getattr(name, field) for field in fields} == fields
    assert str(name) == text


REFUSED = [
    "projects/-/locations/us-central1/models/m",  # nothing is asked of all projects at once
    "",  # nothing
    "m",  # a bare id
    "models/m",  # no parent
    f"{LOCATION}/models/",  # an empty id
    f"{LOCATION}/models",  # a collection
    f"{LOCATION}/models/m/",  # a slash too many
    f"/{LOCATION}/models/m",  # a slash before
    f"{LOCATION}//models/m",  # an empty segment
    f"{LOCATION}/datasets/m",  # another kind
    f"{LOCATION}/models/m/modelEvaluations/1",  # a child
    f"{LOCATION}/models/a/b",  # two ids
    f"{LOCATION}/models/..",  # up
    f"{LOCATION}/models/.m",  # hidden
    f"{LOCATION}/models/m\n",  # a line break at the end
    f"{LOCATION}/models/m m",  # a space
    f"{LOCATION}/models/m%2Fx",  # a percent sign
    f"{LOCATION}/models/m';--",  # SQL
    f"{LOCATION}/models/mödel",  # not ASCII
    f"{LOCATION}/models/m\0",  # NUL
    "PROJECTS/p/locations/l/models/m",  # another case
    "projects//locations/l/models/m",  # no project
    f"{LOCATION}/models/" + "m" * 1100,  # longer than any name
]


@pytest.mark.parametrize("text", REFUSED)
def test_other_text_is_an_invalid_argument_that_names_the_field_and_the_form(text):
    with pytest.raises(errors.ApiError) as raised:
        names.ModelName.parse(text, "model_name")
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert "1.Field: model_name; Message: " in raised.value.message
    assert "projects/{project}/locations/{location}/models/{model}" in raised.value.message
    assert len(raised.value.message) < 500


def test_an_empty_name_is_called_a_required_field():
    with pytest.raises(errors.ApiError, match="Required field not set"):
        names.DatasetName.parse("")


@given(st.text(max_size=200))
def test_no_text_does_more_than_raise_an_api_error(text):
    try:
        name = names.OperationName.parse(text)
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT
    else:
        assert str(name) == text


def test_long_text_is_refused_at_once():
    started_s = time.thread_time()
    with pytest.raises(errors.ApiError):
        names.ModelName.parse("projects/" + "a" * 1_000_000)
    with pytest.raises(errors.ApiError):
        names.ModelName.parse("projects/" + "a/" * 510)
    assert time.thread_time() - started_s < 0.5


def test_a_location_makes_the_names_below_it_and_they_know_it():
    location = names.LocationName("p", "us-central1")
    assert str(location.dataset("d")) == f"{LOCATION}/datasets/d"
    assert str(location.dataset("d").annotation_spec("1")) == f"{LOCATION}/datasets/d/annotationSpecs/1"
    assert str(location.model("m").evaluation("2")) == f"{LOCATION}/models/m/modelEvaluations/2"
    assert str(location.operation("o")) == f"{LOCATION}/operations/o"
    assert location.model("m").evaluation("2").parent == location


HIERARCHIES = {
    "projects/p": ["projects/p"],
    "projects/example.com:p/locations/-": ["projects/example.com:p", "projects/example.com:p/locations/-"],
    f"{LOCATION}/models/-": ["projects/p", LOCATION, f"{LOCATION}/models/-"],
    f"{LOCATION}/datasets/d/annotationSpecs/s": ["projects/p", LOCATION, f"{LOCATION}/datasets/d"],
    f"{LOCATION}/models/m/modelEvaluations/e": ["projects/p", LOCATION, f"{LOCATION}/models/m"],
    f"{LOCATION}/operations/o": ["projects/p", LOCATION],
}


@pytest.mark.parametrize("text", HIERARCHIES)
def test_the_policies_that_count_for_a_name_are_those_of_what_it_lies_in(text):
    assert list(names.hierarchy(text)) == HIERARCHIES[text]
    assert names.is_name(text)


@pytest.mark.parametrize(
    "text", ["", "projects", "projects/-", "projects/p/", "projects/p/models/m", f"{LOCATION}/x/y", "x"]
)
def test_what_is_no_name_has_no_hierarchy(text):
    assert not names.is_name(text)
    with pytest.raises(errors.ApiError, match="Malformed resource name"):
        names.hierarchy(text)


@given(st.text(alphabet="projects/loctinmdea-.:~ \n%", max_size=80) | st.sampled_from(sorted(HIERARCHIES)))
def test_whatever_a_service_parses_has_a_hierarchy(text):
    kinds = [kind for kind, _, _ in PARSED]
    for kind in kinds:
        try:
            name = kind.parse(text)
        except errors.ApiError:
            continue
        assert names.hierarchy(text)[1] == str(name.parent)
