"""Credentials files for Google's client libraries: how they are written, and the addresses in them."""

from __future__ import annotations

import json
import pathlib
import urllib.parse
from typing import Any

from boxwright import errors, private

URL = "https://localhost:8470"
URL_HELP = f"the service's REST address (default {URL})"
SOURCES = ("service_account", "external_account_authorized_user")


def write_new(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes a file that only its owner may read, and replaces none.

    Raises:
        ApiError: FAILED_PRECONDITION if it is there already, or cannot be written.
    """
    if path.exists():
        raise errors.failed_precondition(f"There is a file {path} already; choose another, or delete it first.")
    try:
        private.replace_file(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise errors.failed_precondition(f"The file {path} cannot be written: {error.strerror}.") from error


def checked_url(url: str) -> str:
    """The service's address without a slash at its end; raises INVALID_ARGUMENT for what is none."""
    found = urllib.parse.urlsplit(url)
    if found.scheme not in ("https", "http") or not found.netloc or found.path.strip("/") or found.query:
        raise errors.invalid_argument("--url", f"'{url[:100]}' is not of the form https://HOST:PORT.")
    return url.rstrip("/")


def impersonation_url(url: str, email: str) -> str:
    """Where access tokens of an account are given to who may speak for it."""
    return f"{url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"


def impersonating(source: pathlib.Path, url: str, email: str) -> dict[str, Any]:
    """The content of a file by which the holder of another file speaks for an account.

    Some libraries take the address in it; Google's for Python puts ``iamcredentials.`` before the universe domain of the
    other file, so that is the service's.

    Raises:
        ApiError: FAILED_PRECONDITION if the other file cannot be read; INVALID_ARGUMENT if it is of a type that cannot be
            used here.
    """
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.failed_precondition(f"The file {source} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise errors.bad_request(f"The file {source} holds no JSON.") from error
    if not isinstance(content, dict) or content.get("type") not in SOURCES:
        raise errors.bad_request(
            f"The file {source} must be of type {' or '.join(SOURCES)}. For a provider's file, see "
            "`boxwright access providers credentials --account`."
        )
    return {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonation_url(url, email),
        "delegates": [],
        "source_credentials": {**content, "universe_domain": urllib.parse.urlsplit(url).netloc},
    }
