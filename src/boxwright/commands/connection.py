"""A running service as the commands see it: its address, the token, names written short, errors in plain words."""

from __future__ import annotations

import argparse
import os
import urllib.parse
from typing import Any

import requests

from boxwright import errors

URL_VARIABLE, TOKEN_VARIABLE, PROJECT_VARIABLE = "BOXWRIGHT_URL", "BOXWRIGHT_TOKEN", "BOXWRIGHT_PROJECT"
USUAL_URL, USUAL_LOCATION = "http://127.0.0.1:8470", "us-central1"
TIMEOUT_S = 60.0


class Unreachable(errors.ApiError):
    """UNAVAILABLE: nothing answers at the address."""


class Connection:
    """The REST door of one service.

    Args:
        options: what `add_arguments` has added.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.url = (options.url or os.environ.get(URL_VARIABLE) or USUAL_URL).rstrip("/")
        self._project = options.project or os.environ.get(PROJECT_VARIABLE) or ""
        self._location = options.location
        self._session = requests.Session()
        if token := os.environ.get(TOKEN_VARIABLE):
            self._session.headers["Authorization"] = f"Bearer {token}"

    @property
    def parent(self) -> str:
        """``projects/…/locations/…``.

        Raises:
            ApiError: INVALID_ARGUMENT if nobody has named the project.
        """
        if not self._project:
            raise errors.bad_request(
                f"Which project? Name it with --project or {PROJECT_VARIABLE}, or use a full name."
            )
        return f"projects/{self._project}/locations/{self._location}"

    def full_name(self, name: str, collection: str) -> str:
        """A full resource name, from one or from its last segment."""
        return name if "/" in name else f"{self.parent}/{collection}/{name}"

    def call(self, verb: str, path: str, **query: Any) -> dict[str, Any]:
        """Calls ``/v1/PATH`` and returns the answer.

        Raises:
            Unreachable: there is no answer.
            ApiError: the service's own error.
        """
        address = f"{self.url}/v1/{urllib.parse.quote(path, safe='/:')}"
        try:
            response = self._session.request(verb, address, params=query, timeout=TIMEOUT_S)
            answer: dict[str, Any] = response.json()
        except requests.exceptions.JSONDecodeError as error:
            raise errors.failed_precondition(f"What answers at {self.url} is no Boxwright.") from error
        except requests.exceptions.InvalidURL as error:
            raise errors.bad_request(f"{self.url} is no address of a service.") from error
        except requests.exceptions.RequestException as error:
            raise Unreachable(
                errors.unavailable("").code,
                f"Nothing answers at {self.url}. Is `boxwright serve` running? Another address: --url or {URL_VARIABLE}.",
            ) from error
        if "error" in answer and not response.ok:
            raise errors.failed_precondition(str(answer["error"].get("message", answer["error"])))
        return answer

    def pages(self, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
        """Every item of a list."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            answer = self.call("GET", path, pageToken=token, **query)
            found += answer.get(key, [])
            token = answer.get("nextPageToken", "")
            if not token:
                return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every command of a client takes."""
    parser.add_argument("--url", help=f"the service's REST address (default {URL_VARIABLE}, or {USUAL_URL})")
    parser.add_argument("--project", help=f"for names written short (default {PROJECT_VARIABLE})")
    parser.add_argument(
        "--location", default=USUAL_LOCATION, help=f"for names written short (default {USUAL_LOCATION})"
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print what the service answers, as JSON")
