"""The one error: its texts, its protobuf form, its constructors."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from boxwright import errors

CODES = [
    (errors.bad_request, code_pb2.INVALID_ARGUMENT),
    (errors.not_found, code_pb2.NOT_FOUND),
    (errors.failed_precondition, code_pb2.FAILED_PRECONDITION),
    (errors.aborted, code_pb2.ABORTED),
    (errors.unimplemented, code_pb2.UNIMPLEMENTED),
    (errors.unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.permission_denied, code_pb2.PERMISSION_DENIED),
    (errors.resource_exhausted, code_pb2.RESOURCE_EXHAUSTED),
    (errors.unavailable, code_pb2.UNAVAILABLE),
    (errors.cancelled, code_pb2.CANCELLED),
]


@pytest.mark.parametrize(("constructor", "code"), CODES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_constructor_gives_its_code_and_the_text_as_it_is(constructor, code):
    error = constructor("The thing is not so.")
    assert (error.code, error.message, str(error)) == (code, "The thing is not so.", "The thing is not so.")
    assert error.code_name == code_pb2.Code.Name(code)
    assert error.status == status_pb2.Status(code=code, message="The thing is not so.")


def test_field_errors_have_the_numbered_tab_separated_form_that_clients_match():
    error = errors.invalid_fields([("payload.payload", "Required field not set."), ("name", "Odd.")])
    assert error.message == (
        "List of found errors:\t"
        "1.Field: payload.payload; Message: Required field not set.\t"
        "2.Field: name; Message: Odd.\t"
    )


def test_field_errors_carry_their_fields_as_a_bad_request_detail():
    status = errors.invalid_argument("params.score_threshold", "'abc' is not a number").status
    detail = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(detail)
    assert [(one.field, one.description) for one in detail.field_violations] == [
        ("params.score_threshold", "'abc' is not a number")
    ]


def test_field_errors_take_an_iterable_that_can_be_read_once():
    error = errors.invalid_fields(pair for pair in [("a", "1"), ("b", "2")])
    detail = error_details_pb2.BadRequest()
    error.status.details[0].Unpack(detail)
    assert len(detail.field_violations) == 2
    assert "2.Field: b" in error.message


def test_an_internal_error_shows_the_incident_and_nothing_else():
    error = errors.internal("abc123")
    assert error.code == code_pb2.INTERNAL
    assert error.message.startswith("Internal error encountered.")
    assert "abc123" in error.message


def test_a_stored_status_comes_back_as_the_error_it_was():
    error = errors.from_status(errors.not_found("gone").status)
    assert (error.code, error.message) == (code_pb2.NOT_FOUND, "gone")


def test_the_texts_that_official_tests_match_are_as_published():
    assert errors.DATASET_UNKNOWN_TO_TRAINING == "Dataset does not exist."
    assert errors.DATASET_UNKNOWN_TO_IMPORT == "The Dataset doesn't exist or is inaccessible for use with AutoMl."
    assert errors.MODEL_UNKNOWN == "The model does not exist."
    assert errors.MODEL_ID_INVALID == "Model ID is invalid. It should start with 3 letters."
    assert errors.EMPTY_BATCH_CSV == "BatchPredict could not start due to empty input CSV file."
    assert errors.not_found().message == "Requested entity was not found."


def test_a_lost_lease_is_no_api_error():
    assert not issubclass(errors.LeaseLost, errors.ApiError)
