"""The training process reads the bytes that were imported, or leaves the image out and says so."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
from tests.unit.detector import conftest

from boxwright import errors, objects

SPLITS = {0: "TEST", 1: "TEST", 2: "VALIDATION", 3: "VALIDATION"}


def test_an_image_that_was_replaced_since_its_import_is_left_out_with_its_name(
    drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    rows = [{**row, "ml_use": SPLITS.get(index, "TRAIN")} for index, row in enumerate(drawn.rows)]
    for uri, content in drawn.images.items():
        path = tmp_path / "buckets" / uri.removeprefix("gs://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    replaced = [rows[index]["uri"] for index in (0, 10)]  # a test image and one for training
    for uri in replaced:
        (tmp_path / "buckets" / uri.removeprefix("gs://")).write_bytes(drawn.images[rows[20]["uri"]])
    stores = {"buckets_dir": str(tmp_path / "buckets"), "state_dir": str(tmp_path)}
    folder = conftest.write_job(tmp_path / "job", rows, stores=stores, recipe={**conftest.RECIPE, "steps": 8})
    command = [sys.executable, "-m", "boxwright.detector.train_main", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # its input stays open: the end of it is the end of the process
        events = [json.loads(line) for line in process.stdout]
    assert events[-1]["event"] == "done", events[-1]
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    for uri in replaced:
        assert any(uri in text and "not those that were imported" in text for text in warnings), warnings
    evaluation = json.loads((folder / "model" / "evaluation.json").read_text())
    assert evaluation["overall"]["evaluated_example_count"] == 1
    uses = [event for event in events if event["event"] == "bucket"]
    assert [(use["bucket"], use["is_allowed"]) for use in uses] == [("gs://shapes/", True)]


@pytest.mark.parametrize("digest", ["", "0" * 64, "not hexadecimal"])
def test_what_is_no_digest_of_the_bytes_is_no_match(digest: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"bytes")
    stores = objects.Stores(tmp_path, tmp_path / "state")
    with pytest.raises(errors.ApiError, match="not those that were imported"):
        objects.ImportedImages(stores, {"gs://b/x": digest}).get("gs://b/x")
    assert objects.ImportedImages(stores, {}).get("gs://b/x") == b"bytes"
