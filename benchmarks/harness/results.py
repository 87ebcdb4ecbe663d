"""The closing line of a benchmark, and its results as a file with machine, versions and date."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import boxwright
from boxwright import machine

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "onnxruntime", "openvino", "pillow", "torch")  # what decides speed
GIB = 1 << 30


def described_machine() -> str:
    """This machine in words: cores that may be used, processor, memory, system."""
    cores, memory_gib = machine.usable_cores(), machine.usable_memory_bytes() / GIB
    return f"{cores} cores, {_processor()}, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def versions() -> dict[str, str]:
    """The versions of Boxwright, Python, and the installed packages that decide speed."""
    found = {"boxwright": boxwright.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def close(
    script: str,
    options: argparse.Namespace,
    line: Mapping[str, Any],
    *,
    source: str,
    conditions: str,
    figures: Mapping[str, Any],
) -> None:
    """Prints the closing line, and writes the file that `--result` names.

    Args:
        script: the `__file__` of the benchmark.
        options: with `quick` and `result`.
        line: what the closing line has.
        source: the page of the documents that explains the run.
        conditions: what was measured on what, in words.
        figures: what documents show, by name; seconds end in `_s`.
    """
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    run = {"machine": described_machine(), "versions": versions(), "date": date}
    if options.result is not None:
        written = {
            "benchmark": pathlib.Path(os.path.relpath(script, ROOT)).as_posix(),
            "source": source,
            **run,
            "conditions": conditions,
            "quick": options.quick,
            "figures": figures,
        }
        options.result.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({**line, **run}))


def read(name: str) -> dict[str, Any]:
    """One of the files in benchmarks/results; see the README there."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found
