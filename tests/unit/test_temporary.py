"""Temporary folders: gone with their process, however that ends, and never taken from one that lives."""

from __future__ import annotations

import gc
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

from boxwright import temporary
from boxwright.temporary import TemporaryFolder

MAKER = """
import sys
from boxwright.temporary import TemporaryFolder
folder = TemporaryFolder("other")
(folder.path / "file").write_bytes(b"x")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The place of temporary files, for this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def start():
    """Starts a process that makes a folder with a file in it; returns it and the folder."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], pathlib.Path]:
        maker = subprocess.Popen(
            [sys.executable, "-c", MAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(maker)
        return maker, pathlib.Path(maker.stdout.readline().strip())

    yield start
    for maker in started:
        maker.kill()
        maker.communicate()


def _end(maker: subprocess.Popen[str], number: int) -> None:
    maker.send_signal(number)
    maker.wait()


def test_a_folder_is_for_its_owner_and_goes_when_it_is_closed_or_let_go(place):
    with TemporaryFolder("word") as folder:
        assert folder.path.parent == place
        assert folder.path.name.startswith("boxwright-temporary-word-")
        assert folder.path.stat().st_mode & 0o777 == 0o700
        (folder.path / "sub").mkdir()
    folder.close()  # again is no harm
    let_go = TemporaryFolder("word")
    assert let_go.path.is_dir()
    del let_go
    gc.collect()
    assert not list(place.iterdir())


def test_a_process_that_ends_removes_its_folders(start, place):
    maker, folder = start()
    assert (folder / "file").exists()
    maker.communicate("")
    assert not list(place.iterdir())


def test_the_next_folder_removes_those_of_killed_processes_and_no_others(start, place):
    killed, lost = start()
    _, kept = start()
    _end(killed, signal.SIGKILL)
    foreign = place / "boxwright-convert-1"
    foreign.mkdir()
    assert (lost / "file").exists()
    with TemporaryFolder("word") as folder:
        assert {path.name for path in place.iterdir()} == {kept.name, folder.path.name, foreign.name}
        assert (kept / "file").exists()


def test_a_link_is_not_followed(start, place, tmp_path_factory: pytest.TempPathFactory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").touch()
    (place / f"{temporary.PREFIX}link").symlink_to(outside)
    (place / f"{temporary.PREFIX}file").touch()
    temporary.sweep()
    assert (outside / "file").exists()
    assert len(list(place.iterdir())) == 2


def test_a_sweep_is_bounded(place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(temporary, "MAX_SWEPT", 3)
    for number in range(5):
        (place / f"{temporary.PREFIX}{number}").mkdir()
    temporary.sweep()
    assert len(list(place.iterdir())) == 2
    temporary.sweep()
    assert not list(place.iterdir())


def test_many_who_make_and_sweep_at_once_keep_their_folders(place):
    code = (
        "from boxwright.temporary import TemporaryFolder\n"
        "for _ in range(200):\n"
        "    with TemporaryFolder('word') as folder:\n"
        "        (folder.path / 'file').write_bytes(b'x')\n"
        "        assert (folder.path / 'file').exists()\n"
    )
    makers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0] * 4
    assert not list(place.iterdir())


def test_a_copy_of_the_process_leaves_the_folder_alone(place):
    folder = TemporaryFolder("word")
    child = os.fork()
    if not child:
        folder.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.path.is_dir()
    folder.close()
