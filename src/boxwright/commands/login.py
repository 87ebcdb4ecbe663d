"""``boxwright login``: signs a person in at an identity provider, and writes a credentials file for client libraries.

The provider shows its own page in a browser on any machine (device authorization, RFC 8628); neither this command nor the
service ever sees a password. What the provider says of the person is exchanged at the service for a refresh token.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import requests

from boxwright import errors, private
from boxwright.commands import answering, connection

DISCOVERY = "/.well-known/openid-configuration"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
FILE_TYPE = "external_account_authorized_user"
INTERVAL_S, MAX_INTERVAL_S, LONGEST_S = 5.0, 60.0, 1800.0
TIMEOUT_S = 30.0


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "login",
        help="sign in at an identity provider, for a service with accounts",
        description="Sign in at an identity provider that the service knows, in a browser on any machine, and write a "
        "credentials file. GOOGLE_APPLICATION_CREDENTIALS names it for client libraries and these commands.",
    )
    parser.add_argument("--provider", required=True, metavar="NAME", help="the provider's name at the service")
    parser.add_argument("--issuer", required=True, metavar="URL", help="who issues tokens")
    parser.add_argument("--client-id", required=True, metavar="ID", help="the service's client id at the issuer")
    parser.add_argument(
        "--client-secret-file", type=pathlib.Path, metavar="FILE", help="its client secret, where the issuer wants one"
    )
    parser.add_argument("--scope", default="openid email", help="what the issuer is asked for (default 'openid email')")
    default = pathlib.Path("boxwright-login.json")
    parser.add_argument(
        "--out", type=pathlib.Path, default=default, metavar="FILE", help=f"the file (default {default})"
    )
    connection.add_service_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, sleep: Callable[[float], None] = time.sleep) -> int:
    """Runs the command; returns the exit status."""
    _check_out(options.out)
    service = connection.ServiceAddress(options)
    issuer = _Issuer(options)
    content = {
        "type": FILE_TYPE,
        "audience": f"//boxwright/providers/{options.provider}",
        "refresh_token": _exchanged(service, options.provider, issuer.identity_token(sleep)),
        "token_url": f"{service.url}/token",
        "token_info_url": f"{service.url}/introspect",
        "revoke_url": f"{service.url}/revoke",
        "client_id": "boxwright",
        "client_secret": "boxwright",
    }
    try:
        private.replace_file(options.out, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise errors.failed_precondition(f"The file {options.out} cannot be written: {error.strerror}.") from error
    print(f"export GOOGLE_APPLICATION_CREDENTIALS={options.out.absolute()}")
    return 0


def _check_out(path: pathlib.Path) -> None:
    """Raises FAILED_PRECONDITION for a file that is there and was not written by a sign-in."""
    if not path.exists():
        return
    try:
        is_ours = json.loads(path.read_text(encoding="utf-8"))["type"] == FILE_TYPE
    except (OSError, ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise errors.failed_precondition(f"There is another file {path} already; choose another with --out.")


def _exchanged(service: connection.ServiceAddress, provider: str, token: str) -> str:
    """The refresh token that the service gives for what an issuer says of a person."""
    form = {
        "grant_type": EXCHANGE,
        "audience": f"//boxwright/providers/{provider}",
        "requested_token_type": f"{TYPE}refresh_token",
        "subject_token": token,
        "subject_token_type": f"{TYPE}id_token",
    }
    answer = service.post_form("/token", form)
    if not isinstance(answer.get("access_token"), str):
        why = str(answer.get("error_description") or answer.get("error") or "no token in the answer")[:300]
        raise errors.unauthenticated(f"The service does not take the sign-in: {why}")
    return str(answer["access_token"])


class _Issuer:
    """An identity provider with device authorization.

    Args:
        options: what `add_command` has added.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._issuer = _checked(options.issuer, "--issuer")
        self._scope = options.scope
        self._client = {"client_id": options.client_id}
        if options.client_secret_file is not None:
            try:
                self._client["client_secret"] = options.client_secret_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                why = f"The file {options.client_secret_file} cannot be read: {error.strerror}."
                raise errors.failed_precondition(why) from error
        found = self._asked("GET", self._issuer.rstrip("/") + DISCOVERY)
        if found.get("issuer") != self._issuer:
            raise errors.bad_request(f"{self._issuer} says that it is '{str(found.get('issuer'))[:100]}'.")
        if not found.get("device_authorization_endpoint"):
            raise errors.failed_precondition(
                f"{self._issuer} has no device authorization (RFC 8628), which this command needs."
            )
        self._device_url = _checked(str(found["device_authorization_endpoint"]), "--issuer")
        self._token_url = _checked(str(found.get("token_endpoint", "")), "--issuer")

    def identity_token(self, sleep: Callable[[float], None]) -> str:
        """Asks the person to sign in, and waits until they have.

        Raises:
            ApiError: UNAUTHENTICATED: they have not, or were refused.
        """
        begun = self._asked("POST", self._device_url, {**self._client, "scope": self._scope})
        page = begun.get("verification_uri_complete") or begun.get("verification_uri")
        code, user_code = begun.get("device_code"), begun.get("user_code")
        if not (isinstance(page, str) and isinstance(code, str) and isinstance(user_code, str)):
            raise _no_sign_in(begun)
        print(f"Open {_shown(page)} in a browser and enter the code {_shown(user_code)}", file=sys.stderr, flush=True)
        interval_s = min(max(_seconds(begun.get("interval"), INTERVAL_S), 0.0), MAX_INTERVAL_S)
        ends_s = time.monotonic() + min(_seconds(begun.get("expires_in"), LONGEST_S), LONGEST_S)
        while time.monotonic() < ends_s:
            sleep(interval_s)
            asked = {**self._client, "grant_type": DEVICE_CODE, "device_code": code}
            answer = self._asked("POST", self._token_url, asked)
            if isinstance(answer.get("id_token"), str):
                return str(answer["id_token"])
            if answer.get("error") == "slow_down":
                interval_s = min(interval_s + INTERVAL_S, MAX_INTERVAL_S)
            elif answer.get("error") != "authorization_pending":
                raise _no_sign_in(answer)
        raise errors.unauthenticated("Nobody has signed in in time; start again.")

    def _asked(self, verb: str, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            response = requests.request(
                verb, url, data=form, timeout=TIMEOUT_S, allow_redirects=False, auth=connection.no_credentials
            )
            answer = response.json()
        except requests.exceptions.JSONDecodeError as error:
            raise errors.failed_precondition(f"{url} does not answer with JSON.") from error
        except requests.exceptions.RequestException as error:
            why = answering.why_no_answer(url, error) or f"Nothing answers at {url}."
            raise errors.unavailable(why) from error
        if not isinstance(answer, dict):
            raise errors.failed_precondition(f"{url} does not answer with a JSON object.")
        return answer


def _no_sign_in(answer: dict[str, Any]) -> errors.ApiError:
    why = str(answer.get("error_description") or answer.get("error") or "no token in the answer")
    return errors.unauthenticated(f"The issuer does not sign in: {_shown(why)}")


def _shown(text: str) -> str:
    """What an issuer says, fit for a terminal."""
    return "".join(one for one in text[:300] if one.isprintable())


def _seconds(value: Any, usual: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else usual


def _checked(url: str, name: str) -> str:
    """An address over TLS, or of this machine; raises INVALID_ARGUMENT."""
    found = urllib.parse.urlsplit(url)
    host = found.hostname or ""
    is_local = host in connection.LOOPBACK or host.endswith(".localhost")
    if not host or "@" in found.netloc or not (found.scheme == "https" or (found.scheme == "http" and is_local)):
        raise errors.invalid_argument(name, f"'{url[:100]}' must begin with https://; http:// is for this machine.")
    return url
