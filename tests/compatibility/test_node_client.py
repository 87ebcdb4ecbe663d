"""Google's own Node client calls every method: gRPC and its REST fallback, plain and over TLS.

The packages go into a folder outside the tree: BOXWRIGHT_TEST_NODE names one that is kept between runs.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import grpc
import pytest
from tests.support.clients import scene
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.tls_process import clean_environment

HERE = pathlib.Path(__file__).parent / "node"
METHODS = {
    "createDataset", "getDataset", "listDatasets", "updateDataset", "deleteDataset", "importData", "exportData",
    "getAnnotationSpec", "createModel", "getModel", "listModels", "deleteModel", "updateModel", "deployModel",
    "undeployModel", "exportModel", "getModelEvaluation", "listModelEvaluations", "predict", "batchPredict",
    "getOperation", "listOperations", "cancelOperation", "deleteOperation", "classification",
}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the script, with its packages installed as the lock file says."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed")
    kept = os.environ.get("BOXWRIGHT_TEST_NODE")
    folder = pathlib.Path(kept) if kept else tmp_path_factory.mktemp("node")
    folder.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes()
    for name in ("package.json", "package-lock.json", ".npmrc", "every_method.js"):
        shutil.copy(HERE / name, folder)
    marker = folder / "installed-lock.json"
    if not marker.exists() or marker.read_bytes() != lock:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install the client: {done.stderr.strip()[-300:]}")
        marker.write_bytes(lock)
    return [node, str(folder / "every_method.js")]


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) >= METHODS


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_every_method_without_tls(service: Any, tiny_model: TinyModel, program: list[str], transport: str) -> None:
    with service.channel() as channel:
        stage = scene.prepare(service, channel, tiny_model)
    port = service.grpc_port if transport == "grpc" else service.port
    how = {"transport": transport, "host": "localhost", "port": port, "scene": json.loads(stage.as_json())}
    check(
        subprocess.run(
            [*program, json.dumps(how)], env=clean_environment(), capture_output=True, text=True, timeout=PATIENCE_S
        )
    )


@pytest.mark.parametrize("transport", ["grpc-tls", "rest-tls"])
def test_every_method_with_tls_in_the_printed_environment(
    env_service: Any, tiny_model: TinyModel, program: list[str], transport: str
) -> None:
    trust = grpc.ssl_channel_credentials(env_service.authority.read_bytes())
    with grpc.secure_channel(f"localhost:{env_service.grpc_port}", trust) as channel:
        stage = scene.prepare(env_service, channel, tiny_model)
    port = env_service.grpc_port if transport == "grpc-tls" else env_service.port
    how = {"transport": transport, "host": "localhost", "port": port, "scene": json.loads(stage.as_json())}
    check(env_service.run(*program, json.dumps(how), universe=False, timeout_s=PATIENCE_S))


def test_the_lock_file_names_no_place_and_every_licence_is_permissive() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    permissive = {"MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "0BSD"}
    assert not {package["license"] for package in packages.values()} - permissive
