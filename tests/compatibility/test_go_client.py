"""The official Go client of 2020, as Debian packages it, calls every method: the check with an old client.

BOXWRIGHT_TEST_APT=1 lets the test install the packages (as root, about 330 MB); without them it is skipped, and left out
where a skip is a failure. BOXWRIGHT_TEST_GO names a folder for the compiler's cache that is kept between runs.
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
from tests.support.machine import installing
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.tls_process import clean_environment

pytestmark = [pytest.mark.go, pytest.mark.full]

SOURCE = pathlib.Path(__file__).parent / "go" / "main.go"
LIBRARIES = pathlib.Path("/usr/share/gocode")
CLIENT = LIBRARIES / "src/cloud.google.com/go/automl/apiv1"
PACKAGES = ["golang-go", "golang-google-cloud-dev"]
METHODS = {
    "CreateDataset", "GetDataset", "ListDatasets", "UpdateDataset", "DeleteDataset", "ImportData", "ExportData",
    "GetAnnotationSpec", "CreateModel", "GetModel", "ListModels", "DeleteModel", "UpdateModel", "DeployModel",
    "UndeployModel", "ExportModel", "GetModelEvaluation", "ListModelEvaluations", "Predict", "BatchPredict",
    "GetOperation", "classification",
}  # fmt: skip


@pytest.fixture(scope="module")
def go_client() -> None:
    """The compiler and the client, installed where that is allowed."""
    if os.environ.get("BOXWRIGHT_TEST_APT") and os.geteuid() == 0:
        with installing.alone():
            if not (shutil.which("go") and CLIENT.is_dir()):
                install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
                subprocess.run(install, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=True, timeout=580)
    if shutil.which("go") is None or not CLIENT.is_dir():
        pytest.skip(
            f"the Debian packages {' and '.join(PACKAGES)} are not installed; BOXWRIGHT_TEST_APT=1 installs them"
        )


@pytest.fixture(scope="module")
def program(go_client: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiled program."""
    return compiled(SOURCE, tmp_path_factory.mktemp("go"))


def compiled(source: pathlib.Path, folder: pathlib.Path) -> str:
    """The program of one source file."""
    go = shutil.which("go")
    assert go is not None
    cache = os.environ.get("BOXWRIGHT_TEST_GO", str(folder / "cache"))
    environment = clean_environment() | {"GO111MODULE": "off", "GOPATH": str(LIBRARIES), "GOCACHE": cache}
    command = [go, "build", "-o", str(folder / "program"), str(source)]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert built.returncode == 0, built.stderr
    return str(folder / "program")


@pytest.mark.parametrize("is_plain", [True, False], ids=["plaintext", "tls"])
def test_every_method(service: Any, env_service: Any, tiny_model: TinyModel, program: str, is_plain: bool) -> None:
    chosen = service if is_plain else env_service
    target, environment = f"localhost:{chosen.grpc_port}", clean_environment()
    if is_plain:
        channel = grpc.insecure_channel(target)
    else:
        authority = env_service.authority
        environment["SSL_CERT_FILE"] = str(authority)
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(authority.read_bytes()))
    with channel:
        stage = scene.prepare(chosen, channel, tiny_model)
        how = {"endpoint": target, "plain": is_plain, "scene": json.loads(stage.as_json())}
        done = subprocess.run([program, json.dumps(how)], env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        cancel, passed = (line.split()[1:] for line in done.stdout.splitlines())
        scene.end(channel, cancel[0])
    assert set(passed) >= METHODS
