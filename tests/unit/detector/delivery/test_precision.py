"""The choice between fp32 and int8: made with the real tools on a tiny network, refused where it should be."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.machine.waiting import wait_until
from tests.support.processes.crashes import children_of, wait_until_gone
from tests.unit.detector import conftest

from boxwright.detector.data import dataset
from boxwright.detector.delivery import export, precision
from boxwright.detector.network import dense
from boxwright.detector.planning import int8_budget
from boxwright.inference import export_formats, openvino_runtime, predictor
from boxwright.learning import listener, quantise_main
from boxwright.learning import precision as learning_precision

INPUT_HW = (64, 96)
BUDGET_S = 600.0
BASE_HW = (288, 384)


class Watcher:
    """Does not stop, unless told."""

    def __init__(self, stop: Callable[[], bool] = lambda: False) -> None:
        self.stop_requested = stop

    def progress(self, percent: float, stage: str, **details: object) -> None: ...

    def warn(self, message: str) -> None: ...


@pytest.fixture(scope="module")
def images() -> conftest.Drawn:
    return conftest.draw(40)


@pytest.fixture
def draft(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tiny network with random weights whose scores lie all over the scale."""
    torch.manual_seed(4)
    network = dense.Network(dense.TINY, len(conftest.LABELS)).eval()
    with torch.no_grad():
        for head in network.heads:
            head.scores.weight *= 200
            head.scores.bias.zero_()
    export.write_draft(
        tmp_path / "draft",
        network,
        labels=conftest.LABELS,
        model_type="mobile-low-latency-1",
        input_hw=INPUT_HW,
        score_floor=0.01,
        provenance={},
    )
    return tmp_path / "draft"


@pytest.fixture
def splits(draft: pathlib.Path, images: conftest.Drawn) -> dataset.Splits:
    """Images whose truth is what the fp32 network finds in them: it is perfect, and int8 can only lose."""
    opened = predictor.Predictor.open(draft, streams=1)
    examples = []
    for row in images.rows:
        found = opened.predict(images.read(row["uri"]), 0.9)
        examples.append(dataset.Example(row["uri"], row["sha256"], "TRAIN", found.boxes_norm, found.label_indices))
    assert sum(len(one.label_indices) for one in examples) > 100
    return dataset.Splits(tuple(examples[:8]), tuple(examples[8:]), (), ())


def choose(draft: pathlib.Path, splits: dataset.Splits, images: conftest.Drawn, **changes: Any) -> dict[str, Any]:
    arguments = {"threads": 2, "read_bytes": images.read, "watcher": Watcher(), "left_s": lambda: BUDGET_S, **changes}
    return precision.PrecisionSelector(draft, **arguments).choose(splits)


def document(draft: pathlib.Path) -> dict[str, Any]:
    return json.loads((draft / "model.json").read_text())


@pytest.mark.parametrize(
    ("fp32", "int8", "chosen", "reason"),
    [
        ((0.0, 9.0), (0.0, 3.0), "fp32", "finds too little"),  # nothing learned: nothing to compare
        ((0.5, 9.0), (0.5, 3.0), "int8", "3.0 times as fast"),
        ((0.5, 9.0), (0.5051, 3.0), "int8", "gains 0.51 points"),
        ((0.5, 9.0), (0.4951, 3.0), "int8", "loses 0.49 points"),
        ((0.5, 9.0), (0.5, 3.0), "int8", "int8 keeps the average precision and is 3.0 times as fast"),
        ((0.5, 9.0), (0.50001, 3.0), "int8", "int8 keeps the average precision"),
        ((0.5, 9.0), (0.4949, 3.0), "fp32", "loses 0.51 points of average precision, more than 0.5"),
        ((0.5, 9.0), (0.5, 9.1), "fp32", "not faster"),
        ((0.5, 9.0), (0.5, 8.8), "fp32", "not faster"),  # within the noise of a measurement
    ],
)
def test_int8_has_to_be_as_good_and_faster(
    fp32: tuple[float, float], int8: tuple[float, float], chosen: str, reason: str
) -> None:
    found, why = learning_precision.verdict(
        learning_precision.Measured(*fp32), learning_precision.Measured(*int8), "average precision"
    )
    assert found == chosen and reason in why


@pytest.mark.parametrize(
    ("train", "validation", "calibration", "compared"),
    [
        (0, 0, 0, {}),
        (20, 5, 20, {"VALIDATION": 5, "TRAIN": 20}),
        (300, 31, 128, {"VALIDATION": 31, "TRAIN": 69}),
        (300, 100, 128, {"VALIDATION": 100}),
        (5000, 900, 128, {"VALIDATION": 500}),
    ],
)
def test_a_small_validation_set_is_filled_up_from_the_training_images(
    train: int, validation: int, calibration: int, compared: dict[str, int]
) -> None:
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    examples = [dataset.Example(str(number), "", "TRAIN", *nothing) for number in range(train + validation)]
    chosen = int8_budget.images_for(dataset.Splits(tuple(examples[:train]), tuple(examples[train:]), (), ()))
    assert len(chosen.calibration) == calibration
    names = [split for split, _ in chosen.compared]
    assert {name: names.count(name) for name in names} == compared
    if train > calibration:  # as long as there are others, no image serves twice
        assert not {id(one) for one in chosen.calibration} & {id(one) for _, one in chosen.compared}


def test_a_short_budget_sets_no_time_aside(splits: dataset.Splits) -> None:
    assert int8_budget.reserve_s(splits, 60.0, 2, 0.01, BASE_HW) == 0
    assert learning_precision.CHILD_S < int8_budget.reserve_s(splits, 600.0, 2, 0.01, BASE_HW) < 60
    assert int8_budget.reserve_s(dataset.Splits(splits.train, (), (), ()), 600.0, 2, 0.01, BASE_HW) == 0


def test_int8_is_built_chosen_and_predicts_unless_fp32_is_forced(
    draft: pathlib.Path,
    splits: dataset.Splits,
    images: conftest.Drawn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    monkeypatch.setattr(learning_precision, "MAX_LOSS", 1.0)  # random features lose much
    monkeypatch.setattr(learning_precision, "LEAST_GAIN", 0.0)  # a network this small may be no faster
    before = predictor.Predictor.open(draft, streams=1).predict(images.read(images.rows[0]["uri"]))
    section = choose(draft, splits, images)
    assert section["chosen"] == "int8" and document(draft)["quantisation"] == section
    assert section["compared_images"] == {"VALIDATION": 32, "TRAIN": 8} and section["calibration_images"] == 8
    assert section["fp32"]["map50_95"] > section["int8"]["map50_95"] > 0
    assert section["fp32"]["ms_per_image"] > 0 and section["tools"].keys() == {"nncf", "openvino"}
    assert sorted(path.name for path in draft.iterdir()) == [
        "model.int8.bin",
        "model.int8.xml",
        "model.json",
        "model.onnx",
    ]
    opened = predictor.Predictor.open(draft, streams=1)
    assert opened.info.precision == "int8"
    forced = predictor.Predictor.open(draft, streams=1, precision="fp32")
    image = images.read(images.rows[0]["uri"])
    assert np.array_equal(forced.predict(image).boxes_norm, before.boxes_norm)
    assert not np.array_equal(opened.predict(image).boxes_norm, before.boxes_norm)
    for model_format, path in (("onnx", "model.onnx"), ("openvino", "model.int8.xml")):
        exported = dict(export_formats.files(draft, model_format))
        network = exported["model.onnx" if model_format == "onnx" else "model.xml"]
        assert network == (draft / path).read_bytes(), "ONNX is fp32, OpenVINO what the service predicts with"
        if model_format == "onnx":
            for name, content in exported.items():
                (tmp_path / name).write_bytes(content)
            assert predictor.Predictor.open(tmp_path, streams=1).info.precision == "fp32"
    _assert_the_same_without_int8_units(draft)
    first = [(draft / name).read_bytes() for name in ("model.int8.xml", "model.int8.bin")]
    choose(draft, splits, images)
    assert first == [(draft / name).read_bytes() for name in ("model.int8.xml", "model.int8.bin")]


@pytest.mark.full
def test_int8_that_loses_is_refused_with_both_numbers_and_a_killed_child_gets_a_second_chance(
    draft: pathlib.Path,
    splits: dataset.Splits,
    images: conftest.Drawn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("BOXWRIGHT_FAULTS", "quantise.before_save:kill")
    monkeypatch.setenv("BOXWRIGHT_FAULTS_ONCE", str(tmp_path / "marks"))
    section = choose(draft, splits, images)
    assert list((tmp_path / "marks").iterdir())
    assert section["chosen"] == "fp32" and "more than 0.5" in section["reason"]
    assert section["fp32"]["map50_95"] - section["int8"]["map50_95"] > 0.005
    assert sorted(path.name for path in draft.iterdir()) == ["model.json", "model.onnx"]
    written = document(draft)
    assert written["precision"] == "fp32" and written["networks"] == {"fp32": "model.onnx"}
    assert list(written["digests"]) == ["model.onnx"] and written["quantisation"] == section
    assert predictor.Predictor.open(draft, streams=1).info.precision == "fp32"


def test_what_cannot_be_built_or_compared_leaves_fp32_and_says_why(
    draft: pathlib.Path, splits: dataset.Splits, images: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(chosen: dataset.Splits = splits, **changes: Any) -> str:
        section = choose(draft, chosen, images, **changes)
        assert section == document(draft)["quantisation"] and section["chosen"] == "fp32" and len(section) == 2
        assert sorted(path.name for path in draft.iterdir()) == ["model.json", "model.onnx"]
        return section["reason"]

    assert "too little time" in reason(left_s=lambda: 1.0)
    assert "Fewer than 32" in reason(dataset.Splits(splits.train, splits.validation[:23], (), ()))
    assert "calibrate" in reason(read_bytes=lambda uri: b"")
    with monkeypatch.context() as patch:
        patch.setenv("BOXWRIGHT_FAULTS", "quantise.before_save:raise")
        assert "could not be built: OSError" in reason()
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert "not installed" in reason()


def test_a_stop_ends_the_child_and_leaves_nothing_behind(
    draft: pathlib.Path, splits: dataset.Splits, images: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_FAULTS", "quantise.before_save:hang")
    frames = draft / quantise_main.FRAMES_FILE
    with pytest.raises(listener.TrainingStopped):
        choose(draft, splits, images, watcher=Watcher(frames.exists))
    assert not children_of(os.getpid(), "boxwright.learning.quantise_main") and not frames.exists()


ANSWERS = """
import json, pathlib, sys
import numpy as np
from boxwright.images import letterbox
from boxwright.inference import predictor
opened = predictor.Predictor.open(pathlib.Path(sys.argv[1]), streams=1, precision="int8")
height, width = opened.input_hw
for seed in range(4):
    pixels = np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)
    raw = opened.infer(letterbox.Prepared(pixels, (0, 0), (width, height), (height, width)))
    print(json.dumps([raw.boxes_px.tolist(), raw.scores.tolist()]))
"""


def _assert_the_same_without_int8_units(draft: pathlib.Path) -> None:
    """AVX2 has no VNNI: sums would saturate there if weights used all of their eight bits."""
    answers = [
        subprocess.run(
            [sys.executable, "-c", ANSWERS, str(draft)],
            env={**os.environ, **limit},
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        ).stdout
        for limit in ({}, {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    ]
    assert answers[0] and answers[0] == answers[1]


def test_the_child_reports_to_nobody_and_keeps_its_channel_clean(draft: pathlib.Path, tmp_path: pathlib.Path) -> None:
    spy = tmp_path / "spy" / "openvino_telemetry" / "__init__.py"
    spy.parent.mkdir(parents=True)
    spy.write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'called')!r}).touch()\nTelemetry = None\n")
    np.save(draft / quantise_main.FRAMES_FILE, np.zeros((2, *INPUT_HW, 3), np.uint8))
    path = os.pathsep.join([str(spy.parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "boxwright.learning.quantise_main", str(draft), "1", "outputs"],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=120,
    )
    assert done.returncode == 4, "without a parent the child ends at once"
    with subprocess.Popen(
        [sys.executable, "-m", "boxwright.learning.quantise_main", str(draft), "1", "outputs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        lines = child.stdout.read().splitlines()
        assert "Statistics" in child.stderr.read(), "the tool's chatter goes to the log"
    assert [json.loads(line)["event"] for line in lines] == ["done"]
    assert not (tmp_path / "called").exists()


@pytest.mark.full
def test_a_training_killed_while_quantising_goes_on_there(images: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    for uri, content in images.images.items():
        path = tmp_path / "buckets" / uri.removeprefix("gs://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    stores = {"buckets_dir": str(tmp_path / "buckets"), "state_dir": str(tmp_path)}
    recipe = {**conftest.RECIPE, "steps": 12}
    folder = conftest.write_job(tmp_path / "job", images.rows, stores=stores, recipe=recipe)
    command = [sys.executable, "-m", "boxwright.detector.train_main", str(folder)]
    faulty = {**os.environ, "BOXWRIGHT_FAULTS": "quantise.before_save:hang"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=faulty) as killed:
        module = "boxwright.learning.quantise_main"
        children = wait_until(lambda: children_of(killed.pid, module), "the quantising child", timeout_s=120)
        os.kill(killed.pid, signal.SIGKILL)
    wait_until_gone(children)
    assert (folder / "model.draft").exists() and not (folder / "model").exists()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as resumed:
        assert resumed.stdout is not None
        events = [json.loads(line) for line in resumed.stdout]
    assert events[-1]["event"] == "done"
    assert not [event for event in events if event.get("stage") == "training" and event.get("step", 0) < 12]
    section = document(folder / "model")["quantisation"]
    assert {"fp32", "int8", "compared_images", "reason"} <= section.keys()
    evaluation = json.loads((folder / "model" / "evaluation.json").read_text())
    assert evaluation["extras"]["quantisation"] == section


def test_a_more_careful_network_is_built_where_the_fastest_loses_too_much(
    draft: pathlib.Path, splits: dataset.Splits, images: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([("fp32", "loses too much"), ("int8", "as good")])
    monkeypatch.setattr(learning_precision, "verdict", lambda *measured: next(verdicts))
    section = choose(draft, splits, images)
    assert (section["chosen"], section["kept_in_fp32"]) == ("int8", "outputs and first")
    network = openvino_runtime.read_model(openvino_runtime.load_openvino().Core(), (draft / "model.onnx").read_bytes())
    kept = {name: quantise_main.kept_in_fp32(network, name) for name in quantise_main.KEPT}
    assert len(kept["outputs"]) == 2 * len(dense.STRIDES)
    assert len(kept["outputs and first"]) == len(kept["outputs"]) + 1
    graph = (draft / quantise_main.INT8_FILE).read_text()
    assert all(name.removesuffix("/WithoutBiases") in graph for name in kept["outputs and first"])
    assert predictor.Predictor.open(draft, streams=1).info.precision == "int8"


def test_without_time_for_a_second_network_the_first_decides(
    draft: pathlib.Path, splits: dataset.Splits, images: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_s = [BUDGET_S]

    def refuse(*measured: object) -> tuple[str, str]:
        left_s[0] = 5.0
        return "fp32", "loses too much"

    monkeypatch.setattr(learning_precision, "verdict", refuse)
    section = choose(draft, splits, images, left_s=lambda: left_s[0])
    assert (section["chosen"], section["reason"], section["kept_in_fp32"]) == ("fp32", "loses too much", "outputs")
    assert not (draft / quantise_main.INT8_FILE).exists() and not (draft / quantise_main.FRAMES_FILE).exists()


def test_a_second_network_that_cannot_be_built_leaves_the_first_verdict(
    draft: pathlib.Path, splits: dataset.Splits, images: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*measured: object) -> tuple[str, str]:
        monkeypatch.setenv("BOXWRIGHT_FAULTS", "quantise.before_save:raise")  # from here on no network is built
        return "fp32", "loses too much"

    monkeypatch.setattr(learning_precision, "verdict", refuse)
    section = choose(draft, splits, images)
    assert (section["chosen"], section["reason"], section["kept_in_fp32"]) == ("fp32", "loses too much", "outputs")
    assert document(draft)["quantisation"] == section and "int8" not in document(draft)["networks"]
    assert not (draft / quantise_main.INT8_FILE).exists() and not (draft / quantise_main.FRAMES_FILE).exists()
