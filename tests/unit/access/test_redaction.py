"""The net under the log: nothing that looks like a credential gets through."""

from __future__ import annotations

import io
import logging

import pytest

from boxwright.access import redaction, secret_texts

SIGNED = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhQGIifQ.c2lnbmF0dXJl-_x"
TOKENS = [secret_texts.new(kind) for kind in ("bxw_", "bxr_", "bxk_")]


@pytest.mark.parametrize("number", range(3))
def test_tokens_of_the_service_are_replaced(number: int) -> None:
    assert redaction.redact(f"it was {TOKENS[number]}, twice: {TOKENS[number]}") == (
        f"it was {redaction.REPLACEMENT}, twice: {redaction.REPLACEMENT}"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"sent {SIGNED}!",
        f"sent {SIGNED[:40]}!",
        "{'authorization': 'Bearer c2lnbmF0dXJl-_x'}",
        "BEARER c2lnbmF0dXJl-_x",
        "GET /v1/x?key=c2lnbmF0dXJl-_x HTTP/1.1",
        "GET /v1/x?alt=json&access_token=c2lnbmF0dXJl-_x&y=1",
        "-----BEGIN PRIVATE KEY-----\nc2lnbmF0dXJl-_x\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nc2lnbmF0dXJl-_x",
    ],
)
def test_other_credentials_are_replaced(text: str) -> None:
    found = redaction.redact(text)
    assert redaction.REPLACEMENT in found
    assert not {"c2lnbmF0dXJl-_x", "eyJhbGciOiJSUzI1NiJ9"} & set(found.replace(".", " ").replace("'", " ").split())


@pytest.mark.parametrize("text", ["projects/demo/datasets/IOD1", "the key=value of a label", "bxw_", "bearer", "eyJ"])
def test_other_texts_stay(text: str) -> None:
    assert redaction.redact(text) == text


def test_every_logger_and_traceback_is_behind_the_net() -> None:
    root, written = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(written)
    kept, root.handlers = root.handlers, [handler]
    try:
        redaction.protect_log()
        logger = logging.getLogger("some.library")
        logger.warning("refused %s for %d", TOKENS[0], 5)
        try:
            raise ValueError(f"cannot parse {TOKENS[1]}")
        except ValueError:
            logger.exception("with %r", SIGNED)
    finally:
        root.handlers = kept
    text = written.getvalue()
    assert "refused [credential] for 5" in text and "ValueError: cannot parse [credential]" in text
    assert not [secret for secret in (*TOKENS, SIGNED) if secret in text]
