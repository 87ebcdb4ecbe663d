"""A running service as the commands see it: its address, the token, names written short, errors in plain words."""

from __future__ import annotations

import argparse
import os
import pathlib
import ssl
import urllib.parse
from typing import Any

import requests
from google.rpc import code_pb2

from boxwright import errors
from boxwright.commands import answering, credentials, help_text, hints
from boxwright.commands.credentials import ACCOUNT_VARIABLE, TOKEN_VARIABLE

URL_VARIABLE, PROJECT_VARIABLE = "BOXWRIGHT_URL", "BOXWRIGHT_PROJECT"
LOCATION_VARIABLE, AUTHORITY_VARIABLE = "BOXWRIGHT_LOCATION", "BOXWRIGHT_CA"
CERTIFICATE_VARIABLE, KEY_VARIABLE = "BOXWRIGHT_CLIENT_CERT", "BOXWRIGHT_CLIENT_KEY"
USUAL_URL, USUAL_LOCATION = "http://127.0.0.1:8470", "us-central1"
TIMEOUT_S = 60.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_PROXY: dict[str, Any] = {"http": None, "https": None, "all": None}
GATEWAY_STATUSES = (502, 503, 504)  # of a proxy whose service is away


class Unreachable(errors.ApiError):
    """UNAVAILABLE: nothing answers at the address, or not now; asking again may help."""


def no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sends none, whatever a .netrc of this machine says about the host."""
    return request


class ServiceAddress:
    """Where a service is, and whom to trust there.

    Args:
        options: what `add_service_arguments` has added.

    Raises:
        ApiError: INVALID_ARGUMENT if the file of the certificate authority, or the client certificate, cannot be used.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.url = (options.url or os.environ.get(URL_VARIABLE) or USUAL_URL).rstrip("/")
        authority = options.ca or os.environ.get(AUTHORITY_VARIABLE)
        self.trust = _checked_authority(pathlib.Path(authority)) if authority else None
        self.certificate = _client_certificate(options)
        self.proxies = NO_PROXY if urllib.parse.urlsplit(self.url).hostname in LOOPBACK else None

    def post_form(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        """Sends a form without credentials and returns the JSON of the answer, whatever its status.

        Raises:
            ApiError: there is no answer, or none of a Boxwright.
        """
        try:
            response = requests.post(
                self.url + path,
                data=form,
                timeout=TIMEOUT_S,
                verify=self.trust,
                cert=self.certificate,
                proxies=self.proxies,
                auth=no_credentials,
                allow_redirects=False,
            )
            answer = response.json()
        except requests.exceptions.JSONDecodeError as error:
            raise errors.failed_precondition(
                f"What answers at {self.url} is no Boxwright that has accounts."
            ) from error
        except requests.exceptions.RequestException as error:
            raise errors.unavailable(
                answering.why_no_answer(self.url, error) or f"Nothing answers at {self.url}."
            ) from error
        if not isinstance(answer, dict):
            raise errors.failed_precondition(f"What answers at {self.url} is no Boxwright.")
        return answer


class RestConnection:
    """The REST server of one service.

    Args:
        options: what `add_arguments` has added.

    Raises:
        ApiError: INVALID_ARGUMENT if the file of the certificate authority, the client certificate or the account cannot be
            used.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        address = ServiceAddress(options)
        self.url, self._trust, self._proxies = address.url, address.trust, address.proxies
        self._project = options.project or os.environ.get(PROJECT_VARIABLE) or ""
        self._location = options.location or os.environ.get(LOCATION_VARIABLE) or USUAL_LOCATION
        self._session = requests.Session()
        self._session.cert = address.certificate
        found = credentials.from_environment(self.url)
        self._session.auth = credentials.Bearer(
            os.environ.get(TOKEN_VARIABLE, ""), found, self._trust, address.certificate
        )

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
    if hint := hints.of(code, error.get("details", [])):
        message = f"{message.removesuffix('.')}. {hint}"
    return (Unreachable if code == code_pb2.UNAVAILABLE else errors.ApiError)(code, message)


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
    _add_address(group)
    group.add_argument("--project", help=f"for names written short (default {PROJECT_VARIABLE})")
    group.add_argument("--location", help=f"for names written short (default {LOCATION_VARIABLE}, or {USUAL_LOCATION})")
    group.add_argument("--json", dest="as_json", action="store_true", help="print what the service answers, as JSON")
    parser.formatter_class = help_text.Formatter


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says where the service is, and nothing else."""
    _add_address(parser.add_argument_group("the service"))
    parser.formatter_class = help_text.Formatter


def _add_address(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--url", help=f"the service's REST address (default {URL_VARIABLE}, or {USUAL_URL})")
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
