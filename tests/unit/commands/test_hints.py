"""What people at a terminal are told about a refusal."""

from __future__ import annotations

import json

import pytest
from google.rpc import code_pb2

from boxwright.access import refusals
from boxwright.commands import hints
from boxwright.surface import transcode


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (refusals.token_expired("m"), "boxwright accounts token"),
        (refusals.account_disabled("m"), "The account is disabled."),
        (refusals.credentials_invalid("m"), "another installation"),
        (refusals.credentials_missing("m"), "GOOGLE_APPLICATION_CREDENTIALS"),
        (refusals.permission_denied("automl.models.get", "projects/p"), "boxwright access why"),
    ],
)
def test_each_refusal_of_a_caller_has_one(refusal, words: str) -> None:
    details = json.loads(transcode.write_error(refusal)[1])["error"]["details"]
    assert words in hints.of(refusal.code, details)


def test_other_errors_have_none() -> None:
    assert hints.of(code_pb2.NOT_FOUND, []) == ""
    assert hints.of(code_pb2.INVALID_ARGUMENT, [{"reason": "SOMETHING"}]) == ""
