"""Debian packages that tests need: BOXWRIGHT_TEST_APT=1 (as `.ci/run` sets) lets root install them."""

from __future__ import annotations

import os
import shutil
import subprocess

INSTALL_TIMEOUT_S = 600


def may_install() -> bool:
    """Whether packages may be installed here."""
    return bool(os.environ.get("BOXWRIGHT_TEST_APT") and os.geteuid() == 0 and shutil.which("apt-get"))


def install(package: str) -> str:
    """Installs a package; returns what went wrong, or nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.CompletedProcess([], 0, "", "")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True,
            timeout=INSTALL_TIMEOUT_S, check=False,
        )  # fmt: skip
    return done.stderr[-500:] if done.returncode else ""
