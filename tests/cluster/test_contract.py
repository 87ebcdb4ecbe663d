"""The contract of the engines, unchanged, over a cluster of two nodes; and what the cluster loses on the way.

The tests run in a process of their own: Ray ends the process that leads a cluster when the cluster goes, and that one must
not be the one that tests everything else.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest
from tests.cluster.conftest import LEADERS
from tests.support.predictions import engines

TESTS = pathlib.Path(__file__).parents[1]
CONTRACT = [TESTS / "contract" / name for name in ("test_engine.py", "test_reuse.py", "test_candidates.py")]
LED = [pathlib.Path(__file__).with_name(name) for name in LEADERS]


def test_bytes_and_losses(request: pytest.FixtureRequest) -> None:
    led = " or ".join(path.stem for path in LED)
    contract = "tiny_model and ray and (running_again or every_engine)"
    _pass_over_a_cluster(request, [*CONTRACT, *LED], f"{led} or ({contract})", least=29)


@pytest.mark.full
def test_the_whole_contract(request: pytest.FixtureRequest) -> None:
    _pass_over_a_cluster(request, CONTRACT, "ray", least=60)


def _pass_over_a_cluster(
    request: pytest.FixtureRequest, files: list[pathlib.Path], selected: str, *, least: int
) -> None:
    """Passes so many of the files' tests at least, with the engine of a cluster."""
    marks = request.config.getoption("markexpr") or ""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rfE", "-v"]
    ran = subprocess.run(
        [*command, "-m", marks, "-k", selected, *map(str, files)],
        cwd=TESTS.parent, env=_environment(), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = ran.stdout[-6000:] + ran.stderr[-2000:]
    assert ran.returncode == 0, f"{_end_of(ran.returncode)}\n{said}"
    found = re.search(r"(\d+) passed", ran.stdout)
    assert found is not None, said
    assert int(found[1]) >= least, said


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "RAY_"))}
    return own | {engines.VARIABLE: "ray"}


def _end_of(code: int) -> str:
    return "a test failed" if code == 1 else f"the process that leads the cluster ended with {code}"
