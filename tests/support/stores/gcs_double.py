"""A small server that speaks Google Cloud Storage's XML interface: objects in memory or in a folder, no credentials.

It has what the client library uses: whole and ranged reads, conditional writes, multipart uploads, lists in pages.
``python -m tests.support.stores.gcs_double PORT FOLDER BUCKET`` serves FOLDER/BUCKET, and may be killed and started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import pathlib
import re
import sys
import threading
import urllib.parse
from collections.abc import Iterator, MutableMapping
from xml.sax import saxutils

PAGE = 1000
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"


class _Files(MutableMapping[str, bytes]):
    """Objects as files of a folder; each is there as a whole or not at all, whenever the process is killed."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._unfinished = folder.with_name(folder.name + ".unfinished")

    def __getitem__(self, key: str) -> bytes:
        try:
            return (self._folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(key) from None

    def __setitem__(self, key: str, data: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished.write_bytes(data)  # under the server's lock: one at a time
        os.replace(self._unfinished, path)

    def __delitem__(self, key: str) -> None:
        (self._folder / key).unlink()

    def __iter__(self) -> Iterator[str]:
        return (str(path.relative_to(self._folder)) for path in self._folder.rglob("*") if path.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, bucket: str, port: int = 0, objects: MutableMapping[str, bytes] | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.bucket = bucket
        self.objects: MutableMapping[str, bytes] = {} if objects is None else objects
        self.parts: dict[tuple[str, int], bytes] = {}
        self.lock = threading.Lock()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _target(self) -> tuple[str, dict[str, str]] | None:
        """Returns (key, query), or None once a missing bucket has been answered."""
        path, _, query = self.path.partition("?")
        bucket, _, key = path.lstrip("/").partition("/")
        if bucket != self.server.bucket:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return None
        return urllib.parse.unquote(key), dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        target = self._target()
        if target is None:
            return
        key, query = target
        if not key:
            self._answer(200, self._page(query))
            return
        data = self.server.objects.get(key)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        about = {"ETag": _tag(data), "Last_Modified": DATE}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if span is None:
            self._answer(200, data, **about)
            return
        first, last = int(span[1]), min(int(span[2] or len(data) - 1), len(data) - 1)
        self._answer(206, data[first : last + 1], **about, Content_Range=f"bytes {first}-{last}/{len(data)}")

    def do_HEAD(self) -> None:
        target = self._target()
        if target is None:
            return
        data = self.server.objects.get(target[0])
        if data is None:
            self._answer(404)
            return
        self.send_response(200)
        for name, value in (("ETag", _tag(data)), ("Last-Modified", DATE), ("Content-Length", str(len(data)))):
            self.send_header(name, value)
        self.end_headers()

    def do_DELETE(self) -> None:
        target = self._target()
        if target is None:
            return
        with self.server.lock:
            found = self.server.objects.get(target[0])
            if found is not None:
                del self.server.objects[target[0]]
        self._answer(404 if found is None else 204)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self._target()
        if target is None:
            return
        key, query = target
        with self.server.lock:
            if "uploadId" in query:
                self.server.parts[query["uploadId"], int(query["partNumber"])] = data
            elif self.headers.get("x-goog-if-generation-match") == "0" and key in self.server.objects:
                self._answer(412)
                return
            else:
                self.server.objects[key] = data
        self._answer(200, ETag=_tag(data))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self._target()
        if target is None:
            return
        key, query = target
        if "uploads" in query:
            upload = f"<UploadId>{hashlib.md5(key.encode()).hexdigest()}</UploadId>"
            self._answer(200, f"<InitiateMultipartUploadResult>{upload}</InitiateMultipartUploadResult>".encode())
            return
        with self.server.lock:
            numbers = sorted(number for upload, number in self.server.parts if upload == query["uploadId"])
            data = b"".join(self.server.parts.pop((query["uploadId"], number)) for number in numbers)
            self.server.objects[key] = data
        tag = saxutils.escape(_tag(data))
        self._answer(200, f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>".encode())

    def _page(self, query: dict[str, str]) -> bytes:
        after = query.get("continuation-token", "") or query.get("start-after", "")
        with self.server.lock:
            keys = sorted(k for k in self.server.objects if k.startswith(query.get("prefix", "")) and k > after)
        size = min(PAGE, int(query.get("max-keys", PAGE)))
        more = (
            f"<NextContinuationToken>{saxutils.escape(keys[:size][-1])}</NextContinuationToken>" if keys[size:] else ""
        )
        entries = "".join(
            f"<Contents><Key>{saxutils.escape(key)}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            f"<Size>{len(self.server.objects[key])}</Size><ETag>{saxutils.escape(_tag(self.server.objects[key]))}</ETag>"
            "</Contents>"
            for key in keys[:size]
        )
        return f"<ListBucketResult>{more}{entries}</ListBucketResult>".encode()


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


@contextlib.contextmanager
def serving(bucket: str) -> Iterator[str]:
    """Serves an empty bucket; yields the address."""
    server = _Server(bucket)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    _port, _root, _bucket = sys.argv[1:]
    _Server(_bucket, int(_port), _Files(pathlib.Path(_root, _bucket))).serve_forever()
