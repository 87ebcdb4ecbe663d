"""Addresses as people write them: what is meant by a text that is no object URI, and by a name that is not there."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Collection, Iterator
from typing import Literal

_AROUND = "\"'`<>[]()“”‘’«»„‚ "
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad\u00a0\u200e\u200f"
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_SLASHES = re.compile(r"(gs|s3|az|file):[/\\]*(?!//)", re.IGNORECASE)
_WEB = re.compile(r"(https?|ftps?)://", re.IGNORECASE)
_RELATIVE = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z._-]{0,221}/[^/]")
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
_GOOGLE_PAGES = "storage/browser/"
_COPY = "copy the file into a bucket and write its address there"


def query_left_out(text: str) -> str:
    """The text without the parameters of a web address: a signed one is a secret."""
    return text.partition("?")[0] if _WEB.match(text) else text


def advice(text: str, schemes: Collection[str], clouds: Collection[str]) -> str | None:
    """What is wrong with a text that does not start with a scheme that is served, and what to write; None if not known.

    Args:
        text: the text.
        schemes: what this installation serves.
        clouds: the schemes of object stores, served or not.
    """
    served = " or ".join(f"{scheme}://" for scheme in schemes)
    scheme, separator, _ = text.partition("://")
    if separator and scheme in clouds and scheme not in schemes:
        return f"{scheme}:// is not served by this installation, only {served}; the setting schemes names what is"
    if separator and scheme == "file" and scheme not in schemes:
        return f"it does not start with {served}; file:// is served below the folders that the setting file_roots names"
    starts = tuple(f"{scheme}://" for scheme in schemes)
    bare = text.strip(_AROUND + _INVISIBLE)
    if bare != text and bare.startswith(starts):
        return f"it does not start with {served}; take away the quotes, brackets or invisible characters around it"
    if bare.lower().startswith(starts):
        return f"it does not start with {served}; write the scheme in small letters"
    if (meant := _of_web_address(text)) is not None:
        return f"it does not start with {served}; write the object's address, {meant}"
    if _WEB.match(text):
        return f"it does not start with {served}; web addresses are not read: {_COPY}"
    if _WINDOWS.match(text):
        return f"it does not start with {served}; it is a path of a Windows machine: {_COPY}"
    if _SLASHES.match(text) and not separator:
        return f"it does not start with {served}; two slashes stand before the bucket, as in gs://BUCKET/NAME"
    if text.startswith(("/", "~/", "./", "../")):
        return f"it does not start with {served}; it is a path of some machine: {_COPY}"
    if _RELATIVE.match(text) and not separator:
        return f"it does not start with {served}; write the whole address, as in gs://BUCKET/NAME"
    return None


def _of_web_address(text: str) -> str | None:
    """The object URI of an object's web address at one of the clouds; None if it is none."""
    if not _WEB.match(text):
        return None
    try:
        parts = urllib.parse.urlsplit(query_left_out(text))
    except ValueError:  # such as half an IPv6 address
        return None
    host, path = parts.netloc.lower(), urllib.parse.unquote(parts.path).lstrip("/")
    if host in ("storage.googleapis.com", "storage.cloud.google.com"):
        return f"gs://{path}"
    if host == "console.cloud.google.com" and path.startswith(_GOOGLE_PAGES):
        return f"gs://{path.removeprefix(_GOOGLE_PAGES).removeprefix('_details/')}"
    if host.endswith(".storage.googleapis.com"):
        return f"gs://{host.removesuffix('.storage.googleapis.com')}/{path}"
    if host.endswith(".blob.core.windows.net"):
        return f"az://{path}"
    if host.endswith(".amazonaws.com"):
        bucket, _, rest = host.partition("s3")
        return f"s3://{bucket.rstrip('.')}/{path}" if bucket and rest else f"s3://{path}"
    return None


def other_keys(key: str) -> Iterator[tuple[str, str]]:
    """Yields (another key that may be meant, what to write) for the key of an object that is not there.

    Names without anything odd in them yield nothing, so that looking costs nothing for them.
    """
    if "%" in key:
        yield urllib.parse.unquote(key, errors="replace"), "write names as they are, not percent-encoded"
    if " " in key:
        yield urllib.parse.quote(key), "the object's own name is percent-encoded; write it so"
    for separator in ";\t|":
        if separator in key:
            yield key.partition(separator)[0].rstrip(), "separate the columns by commas"
    if "\\" in key:
        yield key.replace("\\", "/"), "write / between folders"
    stripped = key.strip(_AROUND + _INVISIBLE)
    if stripped != key:
        yield stripped, "take away the quotes, brackets, blanks or invisible characters around it"
    if not key.isascii():
        for form in _FORMS:
            other = unicodedata.normalize(form, key)
            if other != key:
                yield other, f"the object's name has its accents in the other Unicode form ({form}); write it so"
