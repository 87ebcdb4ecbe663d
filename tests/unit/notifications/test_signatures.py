"""Signatures: the example that libraries of Standard Webhooks test with, secrets of projects, the file of the secret."""

from __future__ import annotations

import base64
import stat
from concurrent import futures

import pytest

from boxwright import errors
from boxwright.notifications import signatures

SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_example_of_the_specification():
    made = signatures.headers(
        base64.b64decode(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_project_has_a_secret_of_its_own():
    found = {signatures.project_secret(b"x" * 32, project) for project in ("a", "b", "ab", "")}
    assert len(found) == 4 and {len(secret) for secret in found} == {32}


def test_of_many_processes_that_begin_at_once_all_have_the_same_secret(tmp_path):
    path = tmp_path / "notify.secret"
    with futures.ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: signatures.read_secret(path), range(16)))
    assert len(found) == 1 and [one.name for one in tmp_path.iterdir()] == ["notify.secret"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!", "whsec_c2hvcnQ=", "ä"])
def test_a_file_without_a_secret_is_refused(tmp_path, text):
    path = tmp_path / "notify.secret"
    path.write_text(text)
    with pytest.raises(errors.ApiError, match=r"notify\.secret"):
        signatures.read_secret(path)
