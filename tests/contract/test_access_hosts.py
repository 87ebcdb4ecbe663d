"""No address that a caller names makes the service connect to a host of the caller's choice.

Every connection of the stores goes through a proxy that records where it was to lead.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator

import pytest
from tests.contract.test_access_grants import ask, begin, ended, lines, member, request
from tests.support.access.guarded_service import GuardedService, run_guarded_service
from tests.support.images import drawn_images
from tests.support.machine import http_site
from tests.support.predictions.tiny_model import MODEL_NAME, TinyModel

ENDPOINT = "http://store.test"
HOSTILE = [
    "http://169.254.169.254/latest/meta-data/a.jpg",
    "https://localhost:8470/v1/a.jpg",
    "ftp://127.0.0.1/a.jpg",
    "gopher://127.0.0.1:70/a.jpg",
    *(
        f"{scheme}://{host}/latest/a.jpg"
        for scheme in ("s3", "gs", "az")
        for host in (
            "169.254.169.254",
            "[::ffff:127.0.0.1]",
            "[::1]",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0177.0.0.01",
            "127.0.0.1:8470",
            "user@127.0.0.1",
            "good%2f127.0.0.1",
            "good?x",
            "good#x",
            "good\\@127.0.0.1",
        )
    ),
    "s3:////169.254.169.254/a.jpg",
    "s3://good/../../a.jpg",
    "file:///etc/passwd",
    "file://169.254.169.254/a.jpg",
    "state://boxwright/a.jpg",
    "//169.254.169.254/a.jpg",
    "\\\\169.254.169.254\\share\\a.jpg",
]


class _Recorder(http_site.QuietHandler):
    """A proxy that finds nothing."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.answer(404, {}, b"")

    do_HEAD = do_PUT = do_POST = do_DELETE = do_CONNECT = do_GET


@contextlib.contextmanager
def _recording() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    handler = type("Recorder", (_Recorder,), {"seen": seen})
    with http_site.serving(handler) as server:
        yield f"http://127.0.0.1:{server.server_port}", seen


@pytest.fixture
def recorded(tmp_path: pathlib.Path, tiny_model: TinyModel, monkeypatch) -> Iterator[tuple[GuardedService, list[str]]]:
    photos = tmp_path / "buckets" / "photos"
    drawn_images.write_images(photos, 1)
    drawn_images.write_csv(photos, "list.csv", ["gs://photos/0000.jpg", "s3://good/in/a.jpg", *HOSTILE])
    (tmp_path / "data").mkdir()
    tiny_model.install(tmp_path / "data")
    with _recording() as (proxy, seen):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
            monkeypatch.setenv(name.lower(), proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
        settings = {"cores": "1", "tune": "false", "schemes": "gs,s3,az", "batch_row_failure_limit": "1.0"}
        with run_guarded_service(tmp_path, **settings) as service:
            yield service, seen


def test_nobody_is_connected_to_whom_a_caller_has_named(recorded: tuple[GuardedService, list[str]]) -> None:
    service, seen = recorded
    ada = member(service, "ada", folders={"gs://photos/": "rw", "s3://good/": "rw", "az://good/": "rw"})
    for address in HOSTILE:
        for body in (request(lists=address), request(lists="gs://photos/list.csv", output=address)):
            code, answer = ask(service, ada, "POST", f"{MODEL_NAME}:batchPredict", body)
            assert (code, answer["error"]["status"]) == (400, "INVALID_ARGUMENT"), address
    assert seen == []
    code, _ = ask(service, ada, "POST", f"{MODEL_NAME}:batchPredict", request(lists="s3://other/list.csv"))
    assert (code, seen) == (403, [])
    done = ended(service, begin(service, ada, lists="gs://photos/list.csv", output="gs://photos/out/"))
    results, failed = lines(service, done)
    assert len(results) == 1, json.dumps(done)
    assert len(failed) == len(set(HOSTILE)) + 1
    assert seen, "the object that was granted was asked for"
    assert {path.partition("/in/")[0] for path in seen} <= {f"{ENDPOINT}/good"}, seen
