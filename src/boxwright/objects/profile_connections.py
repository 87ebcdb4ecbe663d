"""Connections with the credentials of a profile and nothing of the environment of this process.

The client library takes what it is not told from the environment, where the service's own credentials are. So everything
that decides who is asking, and where, is told here.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from boxwright import errors

_DEFAULT_REGION = "us-east-1"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_GOOGLE_ADDRESS = "https://storage.googleapis.com"
ENDPOINT_VARIABLES = {  # plain http is for endpoints that the operator writes so; the clouds themselves use TLS
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
}


def endpoint(scheme: str, variables: Mapping[str, str]) -> str:
    """The endpoint that these variables name for a cloud; an empty text for its usual one."""
    return next((variables[name] for name in ENDPOINT_VARIABLES[scheme] if variables.get(name)), "")


def options(scheme: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """What the client library's store of a cloud is to be told.

    Args:
        scheme: ``gs``, ``s3`` or ``az``.
        variables: of a profile.

    Raises:
        ApiError: FAILED_PRECONDITION: a key that is a document is not what it should be.
    """
    address, inherited = endpoint(scheme, variables), endpoint(scheme, os.environ)
    match scheme:
        case "s3":
            region = variables.get("AWS_REGION", _DEFAULT_REGION)
            address = address or (f"https://s3.{region}.amazonaws.com" if inherited else "")
            found = {
                "region": region,
                "skip_signature": False,
                "virtual_hosted_style_request": False,
                "credential_provider": _constant(
                    access_key_id=variables["AWS_ACCESS_KEY_ID"],
                    secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
                    token=variables.get("AWS_SESSION_TOKEN"),
                    expires_at=None,
                ),
            }
        case "az":
            account = variables["AZURE_STORAGE_ACCOUNT_NAME"]
            address = address or (f"https://{account}.blob.core.windows.net" if inherited else "")
            key, token = variables.get("AZURE_STORAGE_ACCOUNT_KEY"), variables.get("AZURE_STORAGE_SAS_TOKEN")
            secret = {"access_key": key} if key else {"sas_token": token}
            found = {
                "account_name": account,
                "use_emulator": False,
                "skip_signature": False,
                "credential_provider": _constant(**secret, expires_at=None),
            }
        case _:
            return {
                "base_url": address or _GOOGLE_ADDRESS,
                "skip_signature": False,
                "credential_provider": _google(variables["GOOGLE_SERVICE_ACCOUNT_KEY"]),
            }
    return {**found, "endpoint": address} if address else found


def _constant(**credential: Any) -> Callable[[], dict[str, Any]]:
    return lambda: dict(credential)


def _google(text: str) -> Callable[[], dict[str, Any]]:
    """Exchanges the key of a service account for access tokens."""
    from google.auth import exceptions
    from google.auth.transport import requests
    from google.oauth2 import service_account

    try:
        found = service_account.Credentials.from_service_account_info(json.loads(text), scopes=[_GOOGLE_SCOPE])
    except (ValueError, TypeError, exceptions.GoogleAuthError):
        raise errors.failed_precondition(
            "GOOGLE_SERVICE_ACCOUNT_KEY of a credential profile is no key file of a service account, in one line."
        ) from None  # the parser's words may have the key in them

    def fetch() -> dict[str, Any]:
        found.refresh(requests.Request())
        assert found.expiry is not None
        return {"token": found.token, "expires_at": found.expiry.replace(tzinfo=datetime.UTC)}

    return fetch
