"""deploy/*.service: what systemd itself says of the units, without running them."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

import pytest
from tests.support.machine import apt, installing

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
UNITS = ("boxwright.service", "boxwright-worker@.service")
MOST_EXPOSED = 2.0  # systemd's own scale, from 0 to 10; 1.5 is measured


@pytest.fixture(scope="module")
def analyze() -> str:
    """Path of systemd-analyze."""
    with installing.alone():
        if shutil.which("systemd-analyze") is None and apt.may_install():
            apt.install("systemd")
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    return found


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_mistake(analyze: str, tmp_path: pathlib.Path, name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    unit = tmp_path / name.replace("@", "@batch")
    unit.write_text(text.replace("/opt/boxwright/bin/boxwright", shutil.which("true") or ""), encoding="utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_little_exposed(analyze: str, name: str) -> None:
    command = [analyze, "security", "--offline=true", "--no-pager", DEPLOY / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert level, done.stdout + done.stderr
    assert float(level[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("name", UNITS)
def test_a_stop_is_given_time_and_told_to_the_parent_alone(name: str) -> None:
    lines = (DEPLOY / name).read_text(encoding="utf-8").splitlines()
    assert {"KillMode=mixed", "TimeoutStopSec=45", "Restart=on-failure", "UMask=0077"} <= set(lines)
