"""Secrets that variables name files of."""

from __future__ import annotations

import pathlib

import pytest
from google.rpc import code_pb2
from tests.support.services.command_line import CommandLine

from boxwright import errors, secret_files


def _file(folder: pathlib.Path, content: bytes) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("name", secret_files.VARIABLES)
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_the_content_takes_the_place_of_the_variable(tmp_path: pathlib.Path, name: str, ending: bytes) -> None:
    environment = {f"{name}_FILE": _file(tmp_path, b"pass word=\xc3\xa9 " + ending), "OTHER": "stays"}
    secret_files.read_into(environment)
    assert environment == {name: "pass word=é ", "OTHER": "stays"}


def test_variables_with_another_meaning_stay() -> None:
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "BOXWRIGHT_NOTIFY_SECRET_FILE": "/nowhere"}
    before = dict(environment)
    secret_files.read_into(environment)
    assert environment == before


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"se\0cret", "null character"),
        (b"secret\xff", "UTF-8"),
        (b"secret" * 20_000, "longer than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_without_its_content(
    tmp_path: pathlib.Path, content: bytes, why: str
) -> None:
    environment = {"AWS_SECRET_ACCESS_KEY_FILE": _file(tmp_path, content)}
    before = dict(environment)
    with pytest.raises(errors.ApiError, match=why) as caught:
        secret_files.read_into(environment)
    assert caught.value.code == code_pb2.INVALID_ARGUMENT
    assert "secret\xff" not in str(caught.value) and "secretsecret" not in str(caught.value)
    assert environment == before


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/", "with\0null"])
def test_a_file_that_cannot_be_read_is_named(path: str) -> None:
    with pytest.raises(errors.ApiError, match="BOXWRIGHT_DATABASE_URL_FILE names cannot be read") as caught:
        secret_files.read_into({"BOXWRIGHT_DATABASE_URL_FILE": path})
    assert caught.value.code == code_pb2.FAILED_PRECONDITION


def test_a_secret_that_is_given_both_ways_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ApiError, match="AWS_ACCESS_KEY_ID is set too"):
        secret_files.read_into({"AWS_ACCESS_KEY_ID_FILE": _file(tmp_path, b"x"), "AWS_ACCESS_KEY_ID": "y"})


def test_a_command_finds_its_database_by_a_file(tmp_path: pathlib.Path) -> None:
    path = _file(tmp_path, b"mysql://me:hidden@127.0.0.1/none\n")
    ended = CommandLine("")("migrate", BOXWRIGHT_DATABASE_URL_FILE=path)
    assert ended.returncode == 2
    assert "'mysql' is not postgresql+pg8000" in ended.stderr
    assert "hidden" not in ended.stderr + ended.stdout
