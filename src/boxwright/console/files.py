"""The routes of the console's files: read once, sent with an entity tag and with headers that let nothing foreign in.

A proxy that cuts a path prefix off needs no setting: every address in the pages, and of the redirect, is relative.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

from starlette import requests, responses, routing

ROOT = "/console/"
ROUTE = ROOT + "{path:path}"
FOLDER = pathlib.Path(__file__).parent
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "cache-control": "no-cache",  # asked for again each time, so that an upgrade is seen at once
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclasses.dataclass(frozen=True)
class ConsoleFile:
    """One file as it is sent.

    Attributes:
        content: its bytes.
        content_type: what they are.
        etag: the quoted SHA-256 of the bytes.
    """

    content: bytes
    content_type: str
    etag: str


def read_files(folder: pathlib.Path = FOLDER) -> dict[str, ConsoleFile]:
    """Reads the console's files: path below `folder`, with slashes, to file; ``index.html`` is also the empty path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            found[path.relative_to(folder).as_posix()] = ConsoleFile(content, TYPES[path.suffix], etag)
    found[""] = found["index.html"]
    return found


def build_console_routes() -> list[routing.Route]:
    """Builds the routes: the files below ``/console/``, and ``/console``, which leads there."""
    files = read_files()

    async def send(request: requests.Request) -> responses.Response:
        file = files.get(request.path_params["path"])
        if file is None:
            return responses.PlainTextResponse("The console has no such file.\n", 404, HEADERS)
        headers = {**HEADERS, "etag": file.etag}
        if file.etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return responses.Response(status_code=304, headers=headers)
        return responses.Response(file.content, 200, headers, file.content_type)

    return [routing.Route(ROUTE, send), routing.Route(ROOT.rstrip("/"), lead)]


async def lead(request: requests.Request) -> responses.Response:
    """Leads a browser to the console, from the paths ``/`` and ``/console``."""
    return responses.Response(status_code=307, headers={**HEADERS, "location": "console/"})
