"""An image that cannot be reached now interrupts a training; it is not left out of it."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.unit.detector.conftest import LABELS, draw

from boxwright import objects


def test_a_store_that_is_down_interrupts_the_training(tmp_path, free_port):
    drawn = draw(4)
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in drawn.rows))
    choices = objects.StoreConfig(gs_emulator=f"http://127.0.0.1:{free_port}", retry_s=0.2)
    job = {
        "labels": LABELS,
        "model_type": "mobile-low-latency-1",
        "budget_s": 60,
        "seed": 0,
        "threads": 1,
        "cache_bytes": 1 << 20,
        "stores": objects.Stores(tmp_path, tmp_path / "state", choices).to_config(),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "boxwright.detector.train_main", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        events = [json.loads(line) for line in process.stdout]
    assert events[-1]["event"] == "interrupted"
    assert "cannot be reached now" in events[-1]["message"]
    assert process.returncode == 1
