"""The routes of the console's files: read once, sent with an entity tag and with headers that let nothing foreign in.

Modules that are needed together are sent in one file (`bundles`), without what only their readers need (`trimming`). A
browser that takes gzip gets it.

A proxy that cuts a path prefix off needs no setting: every address in the pages, and of the redirect, is relative.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import hashlib
import pathlib
from collections.abc import Sequence
from concurrent import futures

from starlette import requests, responses, routing

from boxwright import errors
from boxwright.access.sign_in import SignInProvider
from boxwright.console import bundles, sign_in, trimming

ROOT = "/console/"
ROUTE = ROOT + "{path:path}"
FOLDER = pathlib.Path(__file__).parent
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = ("", "index.html")
_VENDOR = "vendor"  # as it was made, with its licences
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
        compressed: the same by gzip.
        content_type: what they are.
        etag: the quoted SHA-256 of the bytes.
    """

    content: bytes
    compressed: bytes
    content_type: str
    etag: str


def read_files(folder: pathlib.Path = FOLDER) -> dict[str, ConsoleFile]:
    """Reads the console's files: path below `folder`, with slashes, to file; ``index.html`` is also the empty path."""
    contents = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.suffix in TYPES
    }
    modules = {path: content.decode() for path, content in contents.items() if _is_ours(path)}
    contents |= {path: trimming.trimmed(text).encode() for path, text in bundles.bundled(modules).items()}
    found = {}
    for path, content in sorted(contents.items()):
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        kind = TYPES[pathlib.PurePath(path).suffix]
        found[path] = ConsoleFile(content, gzip.compress(content, 9, mtime=0), kind, etag)
    found[""] = found["index.html"]
    return found


def _is_ours(path: str) -> bool:
    return path.endswith(".js") and not path.startswith(f"{_VENDOR}/")


def build_console_routes(
    signing_in: sign_in.SignInRules | None = None, executor: futures.Executor | None = None
) -> list[routing.Route]:
    """Builds the routes: the files below ``/console/``, and ``/console``, which leads there.

    Args:
        signing_in: how people sign in; None: by a token or an API key.
        executor: the thread pool in which issuers are asked.
    """
    files = read_files()

    async def providers() -> Sequence[SignInProvider]:
        if signing_in is None:
            return ()
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, signing_in.providers)
        except (errors.ApiError, RuntimeError):  # no database, or no room: the page comes all the same
            return ()

    async def send(request: requests.Request) -> responses.Response:
        path = request.path_params["path"]
        if path == sign_in.PATH:
            content = sign_in.document("" if signing_in is None else signing_in.scope, await providers())
            return responses.Response(content, 200, HEADERS, "application/json; charset=utf-8")
        file = files.get(path)
        if file is None:
            return responses.PlainTextResponse("The console has no such file.\n", 404, HEADERS)
        policy, etag = POLICY, file.etag
        if path in PAGES and signing_in is not None:
            policy = sign_in.widened(POLICY, await providers())
            etag = f'"{hashlib.sha256(f"{etag} {policy}".encode()).hexdigest()}"'  # another policy is another page
        headers = {**HEADERS, "content-security-policy": policy, "etag": etag, "vary": "accept-encoding"}
        if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return responses.Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return responses.Response(file.compressed, 200, headers, file.content_type)
        return responses.Response(file.content, 200, headers, file.content_type)

    return [routing.Route(ROUTE, send), routing.Route(ROOT.rstrip("/"), lead)]


async def lead(request: requests.Request) -> responses.Response:
    """Leads a browser to the console, from the paths ``/`` and ``/console``."""
    return responses.Response(status_code=307, headers={**HEADERS, "location": "console/"})
