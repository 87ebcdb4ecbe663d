"""A running service as the commands see it: its address, the token, names written short, errors in plain words."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import ssl
import urllib.parse
from typing import Any

import requests
from google.auth import exceptions as auth_exceptions
from google.auth import jwt
from google.rpc import code_pb2

from boxwright import errors
from boxwright.commands import answering, help_text

URL_VARIABLE, TOKEN_VARIABLE, PROJECT_VARIABLE = "BOXWRIGHT_URL", "BOXWRIGHT_TOKEN", "BOXWRIGHT_PROJECT"
ACCOUNT_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"  # as for Google's clients
AUDIENCE = "https://automl.googleapis.com/"
ACCOUNT_DOMAIN = ".boxwright.localhost"
LOCATION_VARIABLE, AUTHORITY_VARIABLE = "BOXWRIGHT_LOCATION", "BOXWRIGHT_CA"
CERTIFICATE_VARIABLE, KEY_VARIABLE = "BOXWRIGHT_CLIENT_CERT", "BOXWRIGHT_CLIENT_KEY"
USUAL_URL, USUAL_LOCATION = "http://127.0.0.1:8470", "us-central1"
TIMEOUT_S = 60.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_PROXY: dict[str, Any] = {"http": None, "https": None, "all": None}
GATEWAY_STATUSES = (502, 503, 504)  # of a proxy whose service is away


class Unreachable(errors.ApiError):
    """UNAVAILABLE: nothing answers at the address, or not now; asking again may help."""


class _Bearer(requests.auth.AuthBase):
    """Sends the token, or one that the account signs itself, whatever a .netrc of this machine says about the host."""

    def __init__(self, token: str, account: jwt.Credentials | None) -> None:
        self._token = token
        self._account = account

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if not self._token and self._account is not None:
            if not self._account.valid:
                self._account.refresh(None)
            token: Any = self._account.token
            request.headers["Authorization"] = f"Bearer {token.decode()}"
        elif self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class RestConnection:
    """The REST server of one service.

    Args:
        options: what `add_arguments` has added.

    Raises:
        ApiError: INVALID_ARGUMENT if the file of the certificate authority, the client certificate or the account cannot be
            used.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.url = (options.url or os.environ.get(URL_VARIABLE) or USUAL_URL).rstrip("/")
        self._project = options.project or os.environ.get(PROJECT_VARIABLE) or ""
        self._location = options.location or os.environ.get(LOCATION_VARIABLE) or USUAL_LOCATION
        self._session = requests.Session()
        self._session.auth = _Bearer(os.environ.get(TOKEN_VARIABLE, ""), _account())
        authority = options.ca or os.environ.get(AUTHORITY_VARIABLE)
        self._trust = _checked_authority(pathlib.Path(authority)) if authority else None
        self._session.cert = _client_certificate(options)
        self._proxies = NO_PROXY if urllib.parse.urlsplit(self.url).hostname in LOOPBACK else None

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

    def call(self, verb: str, path: str, *, body: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """Calls ``/v1/PATH`` and returns the answer.

        Args:
            body: the JSON to send; None for none.
            query: the query's parameters, as the API names them.

        Raises:
            Unreachable: there is no answer, or a proxy says that the service is away, or the service that it is.
            ApiError: the service's own error, with its code; FAILED_PRECONDITION if what answers is no Boxwright, or
                speaks TLS where none was expected or the other way round, or has a certificate that is not trusted.
        """
        address = f"{self.url}/v1/{urllib.parse.quote(path, safe='/:')}"
        try:
            response = self._session.request(
                verb, address, params=query, json=body, timeout=TIMEOUT_S, verify=self._trust, proxies=self._proxies
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise errors.bad_request(f"{self.url} is no address of a service.") from error
        except requests.exceptions.InvalidSchema as error:
            raise errors.bad_request(
                f"{self.url} is no address of a service; it starts with http:// or https://."
            ) from error
        except requests.exceptions.RequestException as error:
            if found := answering.why_no_answer(self.url, error, shows_certificate=self._session.cert is not None):
                raise errors.failed_precondition(found) from error
            raise self._away(error) from error
        return self._read(response)

    def pages(self, path: str, key: str, *, limit: int | None = None, **query: Any) -> list[dict[str, Any]]:
        """Every item of a list, or one more than the first `limit` if there are more than those."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            answer = self.call("GET", path, pageToken=token, **query)
            found += answer.get(key, [])
            token = answer.get("nextPageToken", "")
            if not token or (limit is not None and len(found) > limit):
                return found if limit is None else found[: limit + 1]

    def _read(self, response: requests.Response) -> dict[str, Any]:
        """The JSON of an answer; raises the error that it is."""
        try:
            answer = response.json()
        except requests.exceptions.JSONDecodeError as error:
            if response.status_code in GATEWAY_STATUSES:
                raise Unreachable(
                    code_pb2.UNAVAILABLE,
                    f"What answers at {self.url} says that the service is away ({response.status_code}).",
                ) from error
            answer = None
        is_error = not response.ok and isinstance(answer, dict) and isinstance(answer.get("error"), dict)
        if not isinstance(answer, dict) or not (response.ok or is_error):
            raise errors.failed_precondition(f"What answers at {self.url} is no Boxwright.")
        if is_error:
            raise _service_error(answer["error"])
        return answer

    def _away(self, error: requests.exceptions.RequestException) -> Unreachable:
        if isinstance(error, requests.exceptions.ReadTimeout):
            text = f"{self.url} has not answered within {TIMEOUT_S:.0f} s."
        elif isinstance(error, requests.exceptions.ProxyError):
            text = (
                f"The proxy for {self.url} cannot be used (HTTP_PROXY and HTTPS_PROXY name it; hosts in NO_PROXY are asked "
                "directly)."
            )
        else:
            text = f"Nothing answers at {self.url}. Is `boxwright serve` running? Another address: --url or {URL_VARIABLE}."
        return Unreachable(code_pb2.UNAVAILABLE, text)


def _service_error(error: dict[str, Any]) -> errors.ApiError:
    """The service's error with its code, and the fields that it is about."""
    fields = [
        (violation.get("field", ""), violation.get("description", ""))
        for detail in error.get("details", [])
        for violation in detail.get("fieldViolations", [])
    ]
    if fields:
        return errors.invalid_fields(fields)
    name, message = str(error.get("status", "UNKNOWN")), str(error.get("message", error))
    try:
        code = code_pb2.Code.Value(name)
    except ValueError:
        code = code_pb2.UNKNOWN
    return (Unreachable if code == code_pb2.UNAVAILABLE else errors.ApiError)(code, message)


def _account() -> jwt.Credentials | None:
    """The account whose file the usual variable names, if it is one of a Boxwright: no other one's tokens are sent there.

    Raises:
        ApiError: INVALID_ARGUMENT if the file cannot be used.
    """
    path = os.environ.get(ACCOUNT_VARIABLE, "")
    if not path or os.environ.get(TOKEN_VARIABLE):
        return None
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if not str(content.get("client_email", "")).endswith(ACCOUNT_DOMAIN):
            return None
        return jwt.Credentials.from_service_account_info(content, audience=AUDIENCE)
    except (OSError, ValueError, AttributeError, auth_exceptions.GoogleAuthError) as error:
        raise errors.bad_request(f"{ACCOUNT_VARIABLE}: {path} cannot be used: it is no file of an account.") from error


def _checked_authority(path: pathlib.Path) -> str:
    """The file of a certificate authority, as a string; INVALID_ARGUMENT if it holds none."""
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = (
            error.strerror
            if isinstance(error, FileNotFoundError | PermissionError)
            else "it holds no certificate in PEM"
        )
        raise errors.bad_request(f"--ca: {path} cannot be used: {reason}.") from error
    return str(path)


def _client_certificate(options: argparse.Namespace) -> tuple[str, str] | None:
    """The files of the client certificate and its key, which may be one; None for no certificate.

    Raises:
        ApiError: INVALID_ARGUMENT if they cannot be used.
    """
    certificate = options.client_cert or os.environ.get(CERTIFICATE_VARIABLE)
    key = options.client_key or os.environ.get(KEY_VARIABLE)
    if not certificate:
        if key:
            raise errors.bad_request("--client-key needs the certificate of that key: --client-cert.")
        return None
    try:
        # an empty passphrase: nobody is asked for one
        ssl.create_default_context().load_cert_chain(certificate, key or None, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "they are no certificate in PEM and its key, or the key has a passphrase"
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            reason = error.strerror or "they cannot be read"
        shown = (
            f"{certificate} with {key}" if key else f"{certificate}, which must hold the key too without --client-key,"
        )
        raise errors.bad_request(f"--client-cert: {shown} cannot be used: {reason}.") from error
    return certificate, key or certificate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every command of a client takes."""
    group = parser.add_argument_group(
        "the service",
        f"The variable {TOKEN_VARIABLE} is sent as a bearer token; without it, {ACCOUNT_VARIABLE} names an account.",
    )
    group.add_argument("--url", help=f"the service's REST address (default {URL_VARIABLE}, or {USUAL_URL})")
    group.add_argument("--project", help=f"for names written short (default {PROJECT_VARIABLE})")
    group.add_argument("--location", help=f"for names written short (default {LOCATION_VARIABLE}, or {USUAL_LOCATION})")
    group.add_argument(
        "--ca", metavar="FILE", help=f"PEM of the authority to trust for https:// (default {AUTHORITY_VARIABLE})"
    )
    group.add_argument(
        "--client-cert",
        metavar="FILE",
        help=f"PEM of a certificate to show where the service demands one (default {CERTIFICATE_VARIABLE})",
    )
    group.add_argument(
        "--client-key",
        metavar="FILE",
        help=f"PEM of its key, unless the file of the certificate has it (default {KEY_VARIABLE})",
    )
    group.add_argument("--json", dest="as_json", action="store_true", help="print what the service answers, as JSON")
    parser.formatter_class = help_text.Formatter
