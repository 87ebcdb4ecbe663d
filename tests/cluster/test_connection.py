"""Joining a cluster: what is away is waited for and then named."""

from __future__ import annotations

import pathlib
import shutil
import socket
import subprocess

import pytest
from google.rpc import code_pb2
from tests.support.clusters import ray_cluster

from boxwright import errors
from boxwright.cluster import connection

assert ray_cluster.ENVIRONMENT  # ray reads the token when it is imported


def _refused(address: str) -> errors.ApiError:
    waited: list[int] = []
    with pytest.raises(errors.ApiError) as raised, connection.joined(address, 0.5, lambda: waited.append(1)):
        pass
    assert waited and raised.value.code == code_pb2.UNAVAILABLE
    return raised.value


def test_a_head_that_is_away_is_waited_for_and_then_named(free_port: int) -> None:
    assert f"127.0.0.1:{free_port} does not answer" in str(_refused(f"127.0.0.1:{free_port}"))


def test_a_node_beside_the_driver_is_waited_for_and_then_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """The node of a pod starts again when the head does, and Ray itself says nothing for a minute."""
    (tmp_path / "17").mkdir()
    (tmp_path / "17" / "cmdline").write_bytes(b"/usr/bin/python3\0raylet\0")
    monkeypatch.setattr(connection, "PROCESSES", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert f"ray start --address={address} --num-cpus=0" in str(_refused(address))


def test_a_node_is_found_among_the_processes(tmp_path: pathlib.Path) -> None:
    raylet = shutil.copy(shutil.which("sleep") or "", tmp_path / "raylet")
    with subprocess.Popen([raylet, "60"]) as process:
        try:
            assert connection.has_node()
        finally:
            process.kill()
