"""moto's server with conditional uploads one at a time: S3 decides them atomically, moto looks and then writes.

If the variable `ACCOUNTS_VARIABLE` names a file, ``{"KEY_ID": {"secret": …, "buckets": […]}}``, requests must be signed by
an account, and each reaches its own buckets only. The file is read for every request.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import pathlib
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import server
from moto.moto_server import werkzeug_app
from tests.support.stores.object_servers import ACCOUNTS_VARIABLE

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<by>\w+)"
)


class OneUploadAtATime(werkzeug_app.DomainDispatcherApplication):
    """moto's application; a body is read before the turn begins, so that a slow client holds up nobody."""

    _turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request as WSGI has it."""
        accounts = os.environ.get(ACCOUNTS_VARIABLE)
        if accounts and not _may(environ, json.loads(pathlib.Path(accounts).read_text())):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        if "HTTP_IF_NONE_MATCH" not in environ or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return super().__call__(environ, start_response)
        if length := environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._turn:
            return super().__call__(environ, start_response)


def _may(environ: dict[str, Any], accounts: dict[str, Any]) -> bool:
    """Whether a request is signed by an account that has the bucket; signatures as Amazon documents version 4 of them."""
    found = _AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    account = accounts.get(found["key"]) if found else None
    path, _, query = environ["RAW_URI"].partition("?")
    if found is None or account is None or path.split("/")[1] not in account["buckets"]:
        return False
    names = found["signed"].split(";")
    headers = "".join(f"{name}:{environ['HTTP_' + name.upper().replace('-', '_')].strip()}\n" for name in names)
    asked = "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part))
    content = environ["HTTP_X_AMZ_CONTENT_SHA256"]
    canonical = "\n".join((environ["REQUEST_METHOD"], path, asked, headers, found["signed"], content))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{account['secret']}".encode()
    for part in found["scope"].split("/"):
        key = _signed(key, part)
    text = "\n".join(("AWS4-HMAC-SHA256", environ["HTTP_X_AMZ_DATE"], found["scope"], digest))
    return hmac.compare_digest(_signed(key, text).hex(), found["by"])


def _signed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


if __name__ == "__main__":
    vars(server)["DomainDispatcherApplication"] = OneUploadAtATime
    server.main()
