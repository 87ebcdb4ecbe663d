"""The command of docs/nightly.md, run twice as it stands there: the second run waits for the job of the first."""

from __future__ import annotations

import datetime
import os
import pathlib
import subprocess
import sys

import pytest
from tests.support.documents import code_blocks
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

PAGE = code_blocks.ROOT / "docs" / "nightly.md"


@pytest.fixture
def environment(service, tmp_path: pathlib.Path) -> dict[str, str]:
    """A shell in which `boxwright` is the one under test, and the service is the test's."""
    command = tmp_path / "bin" / "boxwright"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m boxwright.cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "BOXWRIGHT_URL": service.url, "BOXWRIGHT_PROJECT": "demo"}


def test_the_command_of_the_page_starts_one_job(
    service, tiny_model: TinyModel, environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    tiny_model.install(service.data_dir, "IOD7300000000000000001", display_name="cars_1")
    bucket = service.bucket("cam")
    today = datetime.date.today()
    for days in (0, 1, 2):  # midnight may come between
        folder = bucket / (today - datetime.timedelta(days)).isoformat()
        folder.mkdir()
        (folder / "1.jpg").write_bytes(drawn_images.draw(1).content)
    block = code_blocks.read(PAGE, "sh")[0]
    said = []
    for _ in range(2):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout.split()[-1])
    assert len(set(said)) == len(list((bucket / "results").glob("prediction-*")))
    assert len(set(said)) == 1 or datetime.date.today() != today
