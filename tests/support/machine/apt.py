"""Debian packages that tests need: BOXWRIGHT_TEST_APT=1 (as `.ci/run` sets) lets root install them."""

from __future__ import annotations

import os
import shutil
import subprocess

INSTALL_TIMEOUT_S = 600


def may_install() -> bool:
    """Whether packages may be installed here."""
    return bool(os.environ.get("BOXWRIGHT_TEST_APT") and os.geteuid() == 0 and shutil.which("apt-get"))


def missing(*packages: str) -> list[str]:
    """Those of the packages that are not installed."""
    if shutil.which("dpkg-query") is None:
        return list(packages)
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *packages]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [name for name in packages if f"{name} installed" not in told]


def install(*packages: str) -> str:
    """Installs packages; returns what went wrong, or nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.CompletedProcess([], 0, "", "")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True,
            timeout=INSTALL_TIMEOUT_S, check=False,
        )  # fmt: skip
    return done.stderr[-500:] if done.returncode else ""
