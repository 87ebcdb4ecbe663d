"""What the files say is about Boxwright, and true of any machine."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOT_OURS = {"LICENSE"}

# /opt/boxwright is where deploy/ installs. Put together from halves, so that this file does not find itself.
MACHINE_PATHS = re.compile(
    "|".join("/" + rest for rest in (r"work/", r"home/\w", r"root/", r"Users/\w", r"opt/(?!boxwright\b)\w"))
)
REGISTRY_HOSTS = re.compile(
    "|".join(("pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npm", "download" + r"\.pytorch"))
)


def _files() -> list[pathlib.Path]:
    """Every text file that belongs to the project: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name and name not in NOT_OURS]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine paths", "registry hosts"])
def test_no_file_names_a_place_of_one_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in _files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


def test_every_text_file_ends_in_a_line_break_and_has_no_trailing_blanks() -> None:
    spoilt = []
    for path in _files():
        text = path.read_text(encoding="utf-8")
        if text and (not text.endswith("\n") or re.search(r"[ \t]+$", text, re.MULTILINE)):
            spoilt.append(str(path.relative_to(ROOT)))
    assert not spoilt
