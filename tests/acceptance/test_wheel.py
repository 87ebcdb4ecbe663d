"""The wheel: what it holds, and that it works in an environment of its own, away from the source tree.

The environment is new and holds the wheel alone; its dependencies are those of the environment that runs the tests, by path.
"""

from __future__ import annotations

import dataclasses
import email.message
import email.parser
import os
import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest
import requests
from tests.support.clients.api import PARENT

import boxwright
from boxwright.processes import NICENESS_VARIABLE

pytestmark = pytest.mark.full

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = "src/boxwright/"
MAX_BYTES = 2_000_000  # of the wheel, some 850 files of source; what is larger has swallowed data, tests or pictures
MAX_FILE_BYTES = 30_000  # of one file in it, packed; what is larger is no source
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("BOXWRIGHT_", "PYTHON"))}
CLEAN[NICENESS_VARIABLE] = os.environ[NICENESS_VARIABLE]
EVERY_MODULE = """
import importlib, pkgutil, boxwright
for found in pkgutil.walk_packages(boxwright.__path__, "boxwright."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""


def _tracked(folder: str = ".") -> list[str]:
    """Paths of the files that belong to the project: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", folder]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel, built from a copy of the project's files, so that nothing is left in the source tree."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in _tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(copy)]
    done = subprocess.run(command, env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@dataclasses.dataclass(frozen=True)
class Environment:
    """A new environment in which the wheel is installed.

    Attributes:
        folder: where commands run; it holds nothing of the source tree.
        programs: the environment's `bin`.
    """

    folder: pathlib.Path
    programs: pathlib.Path

    def run(self, program: str, *arguments: str) -> str:
        """Runs one of the environment's programs, which must succeed, and returns what it printed."""
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=CLEAN, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def environment(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], env=CLEAN, check=True)
    made = Environment(folder, folder / "venv" / "bin")
    made.run("python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    site = pathlib.Path(made.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return made


def _metadata(wheel: pathlib.Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        files = [one for one in archive.infolist() if ".dist-info/" not in one.filename]  # its list of files is long
        largest = max(files, key=lambda one: one.compress_size)
        licences = [name for name in archive.namelist() if name.endswith("dist-info/licenses/LICENSE")]
    assert names == {name.removeprefix("src/") for name in _tracked(PACKAGE)}
    assert "boxwright/py.typed" in names
    assert len(licences) == 1
    assert wheel.stat().st_size < MAX_BYTES
    assert largest.compress_size < MAX_FILE_BYTES, largest.filename


def test_the_page_of_the_package_has_no_relative_link(wheel: pathlib.Path) -> None:
    metadata = _metadata(wheel)
    assert metadata["Version"] == boxwright.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    page = metadata.get_payload()
    assert "pip install 'boxwright[train]'" in page
    assert "](" not in page.replace("](https://", "")


def test_the_environment_runs_the_wheel_and_not_the_source_tree(environment: Environment) -> None:
    place = environment.run("python", "-c", "import boxwright; print(boxwright.__file__)").strip()
    assert pathlib.Path(place).is_relative_to(environment.folder)
    assert environment.run("boxwright", "--version") == f"boxwright {boxwright.__version__}\n"


def test_every_module_of_the_wheel_finds_what_it_needs(environment: Environment) -> None:
    environment.run("python", "-c", EVERY_MODULE)


def test_doctor_looks_at_the_environment(environment: Environment) -> None:
    for name in ("data", "buckets"):
        (environment.folder / name).mkdir()
    flags = ("--data-dir", "data", "--buckets", "buckets", "--port", "0", "--grpc-port", "0")
    printed = environment.run("boxwright", "doctor", *flags)
    assert f"Boxwright {boxwright.__version__}" in printed
    assert "PyTorch" in printed


def test_the_installed_service_answers(environment: Environment, service_factory) -> None:
    service = service_factory({"PYTHONPATH": ""}, program=(str(environment.programs / "boxwright"),))
    answer = requests.get(f"{service.url}/v1/{PARENT}/models", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {})
    assert "Boxwright" in requests.get(service.url + "/", timeout=30).text


def test_the_installed_tour_trains_and_predicts(environment: Environment) -> None:
    assert "--minutes" in environment.run("python", "-m", "boxwright.demo", "--help")
    printed = environment.run("python", "-m", "boxwright.demo", "--tiny", "--minutes", "0.2", "--out", "tour")
    assert "images predicted:  12" in printed
    assert (environment.folder / "tour" / "index.html").stat().st_size > 0
