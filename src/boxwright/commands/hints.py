"""What to do about a refusal, for people at a terminal: the API's own messages are Google's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.rpc import code_pb2

_BY_REASON = {
    "ACCESS_TOKEN_EXPIRED": "The token has ended: make another with `boxwright accounts token`, or use `boxwright login`.",
    "ACCOUNT_STATE_INVALID": "The account is disabled.",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": (
        "This service does not take the token or the key file: it may be of another installation, or its key is disabled or "
        "too old. The service's log says why."
    ),
    "CREDENTIALS_MISSING": (
        "Name the file of an account with GOOGLE_APPLICATION_CREDENTIALS (`boxwright client-env --account NAME` makes one)."
    ),
}
_DENIED = "Where the service runs, `boxwright access why MEMBER PERMISSION RESOURCE` says what would allow it."


def of(code: int, details: list[Mapping[str, Any]]) -> str:
    """What to do about an error of the service, in a sentence; empty if nothing is known.

    Args:
        code: of the error, a `google.rpc.Code` number.
        details: of the error, as JSON.
    """
    for detail in details:
        if detail.get("reason") in _BY_REASON:
            return _BY_REASON[detail["reason"]]
    return _DENIED if code == code_pb2.PERMISSION_DENIED else ""
