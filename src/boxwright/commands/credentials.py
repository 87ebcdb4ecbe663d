"""What the commands show of who calls: a token, or what a credentials file of this kind of service gives.

Bearer(token, credentials)   for a session of requests
from_environment(url)        the credentials that GOOGLE_APPLICATION_CREDENTIALS names, if they are for the service there
"""

from __future__ import annotations

import json
import os
import pathlib
import urllib.parse
from typing import Any

import requests
from google.auth import exceptions as auth_exceptions
from google.auth import jwt

from boxwright import errors

TOKEN_VARIABLE = "BOXWRIGHT_TOKEN"  # noqa: S105 — the name of a variable
ACCOUNT_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"  # as for Google's clients
AUDIENCE = "https://automl.googleapis.com/"
ACCOUNT_DOMAIN = ".boxwright.localhost"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Bearer(requests.auth.AuthBase):
    """Sends the token, or that of the credentials, whatever a .netrc of this machine says about the host.

    Args:
        token: the token; empty: the credentials'.
        credentials: of google-auth; None: nothing is sent.
        trust: as `verify` of requests, for addresses at which credentials are exchanged.
        certificate: as `cert` of requests, likewise.
    """

    def __init__(
        self, token: str, credentials: Any, trust: str | None = None, certificate: tuple[str, str] | None = None
    ) -> None:
        self._token = token
        self._credentials = credentials
        self._trust = trust
        self._certificate = certificate

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header.

        Raises:
            ApiError: UNAUTHENTICATED: the credentials give no token.
        """
        token = self._token
        if not token and self._credentials is not None:
            if not self._credentials.valid:
                self._refresh()
            found = self._credentials.token
            token = found.decode() if isinstance(found, bytes) else found
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    def _refresh(self) -> None:
        from google.auth.transport import requests as transport  # not needed by most calls

        with requests.Session() as session:
            if self._trust is not None:
                session.verify = self._trust
            session.cert = self._certificate
            try:
                self._credentials.refresh(transport.Request(session))
            except auth_exceptions.GoogleAuthError as error:
                raise errors.unauthenticated(f"{ACCOUNT_VARIABLE}: the file gives no token: {error.args[0]}") from error


def from_environment(url: str) -> Any:
    """The credentials of the file that the usual variable names, if they are for the service at `url`; else None.

    Tokens of other services' accounts are sent nowhere.

    Raises:
        ApiError: INVALID_ARGUMENT if the file cannot be used.
    """
    path = os.environ.get(ACCOUNT_VARIABLE, "")
    if not path or os.environ.get(TOKEN_VARIABLE):
        return None
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise errors.bad_request(f"{ACCOUNT_VARIABLE}: {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise errors.bad_request(f"{ACCOUNT_VARIABLE}: {path} cannot be used: it is no text.") from error
    try:
        content = json.loads(text)
        if str(content.get("client_email", "")).endswith(ACCOUNT_DOMAIN):
            return jwt.Credentials.from_service_account_info(content, audience=AUDIENCE)
        if _origin(str(content.get("token_url", ""))) != _origin(url):
            return None
        return _exchanged(content)
    except (ValueError, AttributeError, auth_exceptions.GoogleAuthError) as error:
        raise errors.bad_request(f"{ACCOUNT_VARIABLE}: {path} cannot be used: it is no file of an account.") from error


def _exchanged(content: dict[str, Any]) -> Any:
    """The credentials of a file whose tokens the service gives."""
    from google.auth import external_account_authorized_user, identity_pool, pluggable  # not needed by most calls

    if content.get("type") == "external_account_authorized_user":
        return external_account_authorized_user.Credentials.from_info(content)
    if content.get("type") != "external_account":
        return None
    kind = pluggable if "executable" in content.get("credential_source", {}) else identity_pool
    return kind.Credentials.from_info(content, scopes=[SCOPE])


def _origin(url: str) -> tuple[str, str, int | None]:
    found = urllib.parse.urlsplit(url)
    return found.scheme, found.hostname or "", found.port
