"""Prometheus' own tool reads what a process tells, and runs the tests of the alerts."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
from tests.support.machine import apt, installing

from boxwright.telemetry.metrics import Metrics

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.debian("prometheus")


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    with installing.alone():
        absent = apt.missing("prometheus")
        if absent and apt.may_install():
            problem = apt.install(*absent)
            if problem:
                pytest.skip(f"prometheus cannot be installed: {problem}")
        elif absent:
            pytest.skip("needs the Debian package prometheus; BOXWRIGHT_TEST_APT=1 lets root install it")


def _promtool(*arguments: str, told: bytes = b"") -> str:
    done = subprocess.run(["promtool", *arguments], input=told, capture_output=True, timeout=120, check=False)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, text
    return text


def test_the_alerts_pass_their_tests() -> None:
    _promtool("check", "rules", str(ROOT / "deploy/alerts.yml"))
    assert "SUCCESS" in _promtool("test", "rules", str(ROOT / "deploy/alerts_test.yml"))


def test_the_metrics_are_named_as_prometheus_wants_them() -> None:
    metrics = Metrics(["Predict"], {"version": "1.0.0", "schema": "r0001"})
    metrics.observe("boxwright_rpc_seconds", 0.2, "Predict", "grpc", "OK")
    assert not _promtool("check", "metrics", told=metrics.page()[1]).strip()
