"""Signatures of events, as Standard Webhooks 1.0.0 says (https://www.standardwebhooks.com), and the secrets behind them.

Each project has a secret of its own, which is made from one that the service keeps: who reads the events of one project can
sign none of another's.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import pathlib
import secrets

from boxwright import errors, private

PREFIX = "whsec_"
SECRET_BYTES = 32
_LEAST_BYTES = 24  # as Standard Webhooks asks


def read_secret(path: pathlib.Path) -> bytes:
    """The service's own secret; a file that is missing is made, for its owner alone.

    Raises:
        ApiError: FAILED_PRECONDITION: the file cannot be read or made, or holds too little.
    """
    try:
        if not path.exists():
            draft = path.with_name(f"{path.name}.part-{secrets.token_hex(8)}")
            private.replace_file(draft, PREFIX + _text(secrets.token_bytes(SECRET_BYTES)), is_durable=True)
            with contextlib.suppress(FileExistsError):  # another process was faster: its secret counts
                path.hardlink_to(draft)
            draft.unlink()
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.failed_precondition(f"The secret of events, {path}, cannot be read or made: {error}.") from error
    try:
        secret = base64.b64decode(found.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if len(secret) < _LEAST_BYTES:
        raise errors.failed_precondition(
            f"{path} holds no secret of events: {PREFIX} and base64 of {_LEAST_BYTES} bytes or more. Delete the file, and "
            "the service makes a new one."
        )
    return secret


def project_secret(secret: bytes, project: str) -> bytes:
    """The secret of a project, 32 bytes: HMAC-SHA256 of its name under the service's own secret."""
    return hmac.digest(secret, b"boxwright events\n" + project.encode(), hashlib.sha256)


def shown(secret: bytes) -> str:
    """A secret as receivers are told it."""
    return PREFIX + _text(secret)


def headers(secret: bytes, event_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers that sign an event.

    Args:
        secret: of the project.
        event_id: the same for every try of an event.
        timestamp_s: seconds since 1970 UTC at which it is sent.
        body: exactly what is sent.
    """
    content = f"{event_id}.{timestamp_s}.".encode() + body
    signature = _text(hmac.digest(secret, content, hashlib.sha256))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
