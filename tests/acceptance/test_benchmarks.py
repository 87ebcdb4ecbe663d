"""Every benchmark runs in its quick form and ends with one JSON object that has its keys; the numbers are not judged."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

ROOT = pathlib.Path(__file__).parents[2]
QUICK_TIMEOUT_S = 900  # 45 s on a machine that does nothing else

pytestmark = [pytest.mark.full, pytest.mark.timeout(QUICK_TIMEOUT_S + 60)]


def _last_line(script: str, *arguments: str | pathlib.Path) -> dict[str, object]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments), "--quick"]
    source = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=QUICK_TIMEOUT_S, env={**os.environ, "PYTHONPATH": source}
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_batch() -> None:
    found = _last_line("batch.py")
    contenders = ("ours", "engine", "limit", "loaded", "naive", "naive_lite0", "torch", "torch_lite0")
    rates = {f"{name}_images_per_s" for name in contenders}
    ratios = {f"ours_over_{name}" for name in contenders if name not in ("ours", "engine")}
    assert rates | ratios | {"engine_over_limit", "cpu_outside_percent", "cold_s"} <= found.keys()
    assert all(found[name] > 0 for name in rates | ratios)
    assert found["precision"] == "int8"
    assert set(found["kinds"]) == {"vga", "1080p", "12mp", "mix"}


def test_stages() -> None:
    found = _last_line("stages.py")
    stages = ("fetch", "decode", "letterbox", "infer", "postprocess", "encode")
    assert all(found[f"{stage}_cpu_ms"] > 0 for stage in stages)
    assert {"cpu_use_percent", "cpu_outside_percent", "images_per_s", "other_cpu_ms"} <= found.keys()


def test_startup() -> None:
    found = _last_line("startup.py")
    assert all(found[f"{name}_s"] > 0 for name in ("ready", "cold", "warm", "first_shard"))


def test_decode_fidelity(tiny_model: TinyModel, tmp_path: pathlib.Path) -> None:
    rows = []
    for seed in range(3):
        drawing = drawn_images.draw(seed)
        (tmp_path / f"{seed}.jpg").write_bytes(drawing.content)
        for label, left, top, right, bottom in drawing.boxes:
            rows.append(f"TEST,{seed}.jpg,{label},{left},{top},,,{right},{bottom},,\n")
    (tmp_path / "labels.csv").write_text("".join(rows))
    found = _last_line("decode_fidelity.py", tiny_model.folder, tmp_path)
    assert found["all_images"] == 3
    assert {"all_ap_served", "all_ap_full", "all_ap_cost", "scaled_images", "scaled_ap_cost"} <= found.keys()
