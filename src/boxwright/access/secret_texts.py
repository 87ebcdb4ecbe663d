"""Secrets that this installation gives out: access tokens, refresh tokens and API keys.

A secret is its kind's prefix, 43 characters of base 62 (256 random bits) and six characters of CRC-32, by which scanners of
source code tell a secret from other text without asking anybody. Stored is the SHA-256 alone: a random text of 256 bits
needs no slow hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

ACCESS_PREFIX, REFRESH_PREFIX, API_KEY_PREFIX = "bxw_", "bxr_", "bxk_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(r"(bx[wrk]_[0-9A-Za-z]{43})([0-9A-Za-z]{6})")


def new(prefix: str) -> str:
    """A new secret of the kind with this prefix."""
    text = prefix + _base62(secrets.randbits(256), 43)
    return text + _checksum(text)


def is_well_formed(text: str, prefix: str) -> bool:
    """Whether a text has the form of a secret of this kind, its checksum included."""
    match = _FORM.fullmatch(text)
    return match is not None and text.startswith(prefix) and _checksum(match[1]) == match[2]


def digest(text: str) -> str:
    """The SHA-256 under which a secret is stored, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), 6)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
