"""The guided tour, run as a person would run it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from tests.support.services.command_line import fields

from boxwright.demo import dataset, drawn

pytestmark = pytest.mark.slow

TRAIN_MINUTES = "0.05"  # what is learnt does not matter here
STOP_TIMEOUT_S = 60.0
POLL_S = 0.1


def _run_demo(out: pathlib.Path, *arguments: str) -> str:
    """Runs the demo and returns what it printed."""
    command = [sys.executable, "-m", "boxwright.demo", "--out", str(out), "--minutes", TRAIN_MINUTES, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_the_drawn_tour_ends_with_files_and_a_page(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    printed = _run_demo(out, "--tiny")
    for step in ("draw images", "create dataset", "import labels", "train", "batch predict"):
        assert re.search(rf"^ *{step} +100 %", printed, re.MULTILINE), printed
    for label in ("coin", "gear", "key", "leaf", "star", "all labels"):
        assert f"\n{label}" in printed
    counts = {"images predicted": "12", "images failed": "2"}
    assert {key: fields(printed).get(key) for key in counts} == counts, printed
    (folder,) = (out / "buckets/demo/predictions").iterdir()
    lines = (folder / "image_object_detection_1.jsonl").read_text().splitlines()
    listed = (out / "buckets/demo/batch.csv").read_text().splitlines()
    assert [json.loads(line)["ID"] for line in lines] == listed[:12]
    failed = [json.loads(line) for line in (folder / "errors_1.jsonl").read_text().splitlines()]
    assert [line["ID"] for line in failed] == listed[12:]
    page = (out / "index.html").read_text()
    assert page.count("<figure>") == 12
    assert all(line["ID"] in page for line in failed)
    assert not _answers(json.loads((out / "service.json").read_text())["url"] + "/healthz"), "the service still runs"


@pytest.mark.full
@pytest.mark.parametrize("is_drawn", [True, False], ids=["drawn", "folders"])
def test_the_tour_labels_whole_images(tmp_path: pathlib.Path, is_drawn: bool) -> None:
    out, source = tmp_path / "out", tmp_path / "source"
    words = ["--kind", "classification", "--tiny"]
    if not is_drawn:  # a folder for each label, and no list
        made = drawn.draw_labelled_dataset(tmp_path / "made", 3, drawn.Sizes(train=50, validation=0, test=0))
        for picture in made.pictures:
            target = source / picture.labels[0] / pathlib.PurePosixPath(picture.key).name
            target.parent.mkdir(parents=True, exist_ok=True)
            (made.folder / picture.key).rename(target)
        words = ["--kind", "classification", "--data", str(source)]
    printed = _run_demo(out, *words)
    for label in ("coin", "gear", "key", "leaf", "star", "all labels"):
        assert f"\n{label}" in printed, printed
    predicted = 12 if is_drawn else 50  # without sets of its own, all images of a folder are predicted
    assert fields(printed)["images predicted"] == str(predicted), printed
    assert 0 <= float(fields(printed)["accuracy"]) <= 1
    (folder,) = (out / "buckets/demo/predictions").iterdir()
    lines = [json.loads(line) for line in (folder / "image_classification_1.jsonl").read_text().splitlines()]
    assert [line["ID"] for line in lines] == (out / "buckets/demo/batch.csv").read_text().splitlines()[:predicted]
    page = (out / "index.html").read_text()
    assert page.count("<figure>") == predicted and "label: " not in page, "no boxes of labels"


def test_the_tour_through_a_folder_can_leave_the_service_running(tmp_path: pathlib.Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    made = drawn.draw_dataset(source, 3, drawn.Sizes(train=40, validation=8, test=6))
    dataset.write_import_csv(made, dataset.box_rows)
    labels = source / dataset.IMPORT_CSV
    labels.write_text(labels.read_text().replace("gs://demo/", ""))
    printed = _run_demo(out, "--data", str(source), "--keep")
    counts = {"images predicted": "6", "images failed": "0"}
    assert {key: fields(printed).get(key) for key in counts} == counts, printed
    noted = json.loads((out / "service.json").read_text())
    try:
        assert _answers(noted["url"] + "/readyz")
        command = next(line for line in printed.splitlines() if line.startswith("curl -X POST"))
        answer = json.loads(subprocess.run(command, shell=True, capture_output=True, check=True).stdout)
        assert "/operations/" in answer["name"]
        again = subprocess.run(
            [sys.executable, "-m", "boxwright.demo", "--out", str(out), "--tiny"], capture_output=True, check=False
        )
        assert again.returncode == 1
        assert b"Stop it first" in again.stderr
    finally:
        os.kill(noted["pid"], signal.SIGTERM)
    pause = threading.Event()
    for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
        if not _answers(noted["url"] + "/healthz"):
            break
        pause.wait(POLL_S)
    else:
        pytest.fail("the service that was left running does not end on SIGTERM")
