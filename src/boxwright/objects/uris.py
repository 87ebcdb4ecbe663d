"""Object URIs: parsing, and the one rule on which of them a caller may name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection

from google.rpc import code_pb2

from boxwright import errors
from boxwright.objects import addresses

MAX_URI_CHARS = 2000  # io.proto: each URI is at most 2000 characters long
STATE = "state"
FILE = "file"
CLOUDS = ("gs", "s3", "az")
DEFAULT_SCHEMES = ("gs",)
_BUCKET = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z._-]{0,221}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)"
# the forms in which systems read IPv4 addresses: four numbers, or one; a short one is a year, a day or a count
_HOST_NUMBERS = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{3}}|0[xX][0-9a-fA-F]{{1,8}}|0[0-7]{{8,11}}|[1-9][0-9]{{8,9}}")


class BadUri(errors.ApiError):
    """This text is no usable object URI.

    Attributes:
        why: what is wrong with it, without the text itself.
    """

    why = ""
    kind = "gs"

    def about(self, shown: str) -> str:
        """The sentence with another form of the text, without its full stop."""
        return f"{shown} is not a usable {self.kind}:// path: {self.why}"


@dataclasses.dataclass(frozen=True)
class ObjectUri:
    """A parsed object URI: scheme, bucket, key without a leading slash. ``file:///a/b`` has no bucket and the key a/b."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> ObjectUri:
        """Parses ``gs://bucket/key`` and its like, taking every character of the key as it stands.

        Raises:
            BadUri: INVALID_ARGUMENT saying what is wrong with the text.
        """
        scheme, separator, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if not separator or scheme not in (*CLOUDS, FILE, STATE):
            raise bad_uri(text, "it does not start with gs://")
        if len(text) > MAX_URI_CHARS:
            raise bad_uri(text, f"it is longer than {MAX_URI_CHARS} characters")
        if scheme == FILE and bucket:
            raise bad_uri(text, "a path of this machine is written file:///folder/file, with three slashes")
        if scheme != FILE and not _BUCKET.fullmatch(bucket):
            raise bad_uri(text, "its bucket name is empty or has characters that bucket names cannot have")
        if _HOST_NUMBERS.fullmatch(bucket):
            raise bad_uri(text, "its bucket name is the address of a machine, which bucket names cannot be")
        segments = key.removesuffix("/").split("/") if key else []
        if any(segment in ("", ".", "..") for segment in segments):
            raise bad_uri(text, "a path segment is empty, '.' or '..'")
        if _CONTROL.search(text):
            raise bad_uri(text, "it has control characters")
        return cls(scheme, bucket, key)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def names_object(self) -> bool:
        """Whether this can be an object, rather than a bucket or a folder."""
        return bool(self.key) and not self.key.endswith("/")

    @property
    def folder(self) -> ObjectUri:
        """The same as a folder: with a slash at its end, unless it is the whole bucket."""
        return dataclasses.replace(self, key=f"{self.key}/") if self.names_object else self

    def child(self, name: str) -> ObjectUri:
        """Returns the object `name` below this prefix."""
        prefix = self.key.rstrip("/")
        return dataclasses.replace(self, key=f"{prefix}/{name}" if prefix else name)


def caller_uri(text: str, schemes: Collection[str] = DEFAULT_SCHEMES, *, directory: bool = False) -> ObjectUri:
    """Parses a URI that a caller named: the one place that decides what callers may name.

    Args:
        text: the URI.
        schemes: what this installation serves (`Stores.schemes`).
        directory: whether a bucket or a folder may be meant, rather than an object.

    Raises:
        BadUri: INVALID_ARGUMENT saying what is wrong with the text.
    """
    served = " or ".join(f"{scheme}://" for scheme in schemes)
    if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        advice = addresses.advice(text, schemes, CLOUDS) or f"it does not start with {served}"
        raise bad_uri(addresses.query_left_out(text), advice)
    uri = ObjectUri.parse(text)
    if not directory and not uri.names_object:
        raise bad_uri(text, "it is not the full path of an object")
    return uri


def bad_uri(text: str, why: str) -> BadUri:
    """The error for a text that is no usable URI."""
    shown = text if len(text) <= 200 else text[:200] + "…"
    scheme = text.partition("://")[0]
    kind = scheme if scheme in (*CLOUDS, FILE) else "gs"
    error = BadUri(code_pb2.INVALID_ARGUMENT, f"'{shown}' is not a usable {kind}:// path: {why}.")
    error.why, error.kind = why, kind
    return error
