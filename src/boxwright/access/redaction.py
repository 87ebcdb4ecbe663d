"""Replaces what looks like a credential in a text, and in every line of the log.

    redact(text)       the text with credentials replaced
    RedactionFilter    the same for records of the log

A net, not the method: nothing here is meant to write a credential. What a library says about a request that failed might.
"""

from __future__ import annotations

import logging
import re

REPLACEMENT = "[credential]"
_CREDENTIALS = re.compile(
    r"bx[wrk]_[0-9A-Za-z]{8,}"  # access tokens, refresh tokens and API keys of this service
    r"|\beyJ[\w-]+\.[\w-]*(?:\.[\w-]*)?"  # signed tokens, cut ones too
    r"|(?<=bearer )[^\s'\",;]+"
    r"|(?<=[?&]key=)[^\s&'\"]+|(?<=[?&]access_token=)[^\s&'\"]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_FORMATTER = logging.Formatter()


def redact(text: str) -> str:
    """The text with every credential replaced."""
    return _CREDENTIALS.sub(REPLACEMENT, text)


class RedactionFilter(logging.Filter):
    """Lets every record pass, without the credentials in its message and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replaces the record's texts."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: the handler says so
            return True
        record.msg, record.args = redact(text), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def protect_log() -> None:
    """Puts the filter before everything that the root logger writes to: filters of loggers miss what comes from below."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactionFilter())
