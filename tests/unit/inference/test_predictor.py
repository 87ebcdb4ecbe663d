"""The predictor: geometry, suppression, independence of threads, and what it refuses to open."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
import subprocess
import sys
from concurrent import futures

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boxwright import boxes
from boxwright.detector.delivery import export
from boxwright.detector.network import dense
from boxwright.images import decode, letterbox
from boxwright.inference import model_folder, predictor, runtime, suppression

INPUT_HW = (96, 128)
LABELS = [{"display_name": name, "annotation_spec_id": str(index)} for index, name in enumerate(["cat", "dog", "owl"])]


def picture(seed: int, width: int = 200, height: int = 120) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def network() -> dense.Network:
    """Random weights whose scores are spread out, and whose normalisation is not the identity."""
    torch.manual_seed(3)
    network = dense.Network(dense.TINY, len(LABELS))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2.0)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.2)
        for head in network.heads:
            head.scores.weight.normal_(0.0, 0.5)
            head.scores.bias.fill_(-1.0)
            head.distances.weight.normal_(0.0, 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def folder(network: dense.Network, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export.write_draft(
        folder,
        network,
        labels=LABELS,
        model_type="mobile-low-latency-1",
        input_hw=INPUT_HW,
        score_floor=0.01,
        provenance={"seed": 3},
    )
    return folder


@pytest.fixture(scope="module")
def opened(folder: pathlib.Path) -> predictor.Predictor:
    return predictor.Predictor.open(folder, streams=2)


def same(one: boxes.Detections, other: boxes.Detections) -> bool:
    return (
        np.array_equal(one.boxes_norm, other.boxes_norm)
        and np.array_equal(one.scores, other.scores)
        and np.array_equal(one.label_indices, other.label_indices)
    )


def test_a_model_folder_says_what_it_is(opened: predictor.Predictor, folder: pathlib.Path) -> None:
    assert [label.display_name for label in opened.labels] == ["cat", "dog", "owl"]
    assert opened.labels[2].annotation_spec_id == "2"
    assert opened.input_hw == INPUT_HW
    assert len(opened.digest) == 64 and opened.digest == model_folder.ModelInfo.read(folder).digest


def test_three_runtimes_agree(network: dense.Network, opened: predictor.Predictor, folder: pathlib.Path) -> None:
    prepared = opened.prepare(picture(1))
    raw = opened.infer(prepared)
    boxes_px, scores = network.predict(torch.from_numpy(prepared.pixels))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    onnx_boxes_px, onnx_scores = session.run(["boxes", "scores"], {"pixels": prepared.pixels})
    for found_boxes_px, found_scores in [(boxes_px[0].numpy(), scores[0].numpy()), (onnx_boxes_px[0], onnx_scores[0])]:
        assert np.abs(raw.boxes_px - found_boxes_px).max() < 1e-2
        assert np.abs(raw.scores - found_scores).max() < 1e-4
    assert raw.scores.std() > 0.05  # the comparison means something


def test_the_same_weights_give_the_same_bytes(network: dense.Network, folder: pathlib.Path) -> None:
    assert export.to_onnx(network, INPUT_HW) == (folder / "model.onnx").read_bytes()


def test_an_image_has_its_detections_whoever_asks_and_when(opened: predictor.Predictor, folder: pathlib.Path) -> None:
    images = [picture(seed, 100 + 7 * seed, 220 - 9 * seed) for seed in range(8)]
    alone = [opened.predict(data) for data in images]
    assert all(len(one) for one in alone)
    for streams in (1, 3):
        other = predictor.Predictor.open(folder, streams=streams)
        with futures.ThreadPoolExecutor(5) as pool:
            together = list(pool.map(other.predict, images * 4))
        for index, found in enumerate(together):
            assert same(found, alone[index % len(images)])


def test_a_higher_score_asked_for_drops_only_the_lower_ones(opened: predictor.Predictor) -> None:
    data = picture(2)
    everything = opened.predict(data)
    for threshold in (0.05, 0.2, 0.5, 0.9):
        found = opened.predict(data, min_score=threshold)
        assert same(found.keep(threshold, 500), everything.keep(threshold, 500))


def test_detections_are_sorted_in_range_and_above_the_floor(opened: predictor.Predictor) -> None:
    found = opened.predict(picture(4))
    assert (np.diff(found.scores) <= 0).all() and found.scores.min() >= 0.01
    assert found.boxes_norm.min() >= 0 and found.boxes_norm.max() <= 1
    assert (found.boxes_norm[:, 2:] > found.boxes_norm[:, :2]).all()
    assert len(found) <= suppression.MAX_CANDIDATES and set(found.label_indices.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("size_wh", [(200, 120), (120, 200), (4000, 100), (30, 20), (1, 1), (128, 96)])
def test_a_box_finds_its_way_back_to_the_original(size_wh: tuple[int, int]) -> None:
    image = Image.new("RGB", size_wh, (9, 9, 9))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    prepared = letterbox.letterbox(decode.decode(buffer.getvalue(), INPUT_HW), INPUT_HW)
    dark = np.argwhere((prepared.pixels[0] == 9).all(axis=-1))  # where the image lies in the frame
    top, left = dark.min(axis=0)
    bottom, right = dark.max(axis=0) + 1
    assert prepared.pixels.shape == (1, *INPUT_HW, 3)
    assert max((right - left) / INPUT_HW[1], (bottom - top) / INPUT_HW[0]) > 0.98
    middle = np.asarray([left + (right - left) / 4, top, right, bottom - (bottom - top) / 4], np.float32)
    raw = runtime.RawOutput(middle[None], np.asarray([[0.1, 0.8]], np.float32))
    found = suppression.detections_from(
        raw, prepared, score_floor=0.5, suppression_iou=0.6, voting=None, max_detections=10
    )
    assert found.label_indices.tolist() == [1]
    assert np.allclose(found.boxes_norm[0], [0.25, 0.0, 1.0, 0.75], atol=1e-6)


def test_a_box_in_the_grey_border_is_no_detection() -> None:
    prepared = letterbox.Prepared(np.zeros((1, 96, 128, 3), np.uint8), (0, 20), (128, 56), (56, 128))
    raw = runtime.RawOutput(np.asarray([[5, 2, 30, 18]], np.float32), np.asarray([[0.9]], np.float32))
    found = suppression.detections_from(
        raw, prepared, score_floor=0.1, suppression_iou=0.6, voting=None, max_detections=10
    )
    assert len(found) == 0


def test_scores_that_are_all_alike_neither_hang_nor_wobble() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 90, (2000, 2)).astype(np.float32)
    raw = runtime.RawOutput(np.concatenate([corners, corners + 5], axis=1), np.full((2000, 80), 0.5, np.float32))
    prepared = letterbox.Prepared(np.zeros((1, 96, 96, 3), np.uint8), (0, 0), (96, 96), (96, 96))
    found = [
        suppression.detections_from(
            raw, prepared, score_floor=0.01, suppression_iou=0.6, voting=None, max_detections=500
        )
        for _ in range(2)
    ]
    assert same(*found) and 0 < len(found[0]) <= 500
    assert found[0].label_indices[:2].tolist() == [0, 1]  # ties go by anchor, then by label


def slow_suppress(
    boxes_px: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], threshold: float
) -> npt.NDArray[np.bool_]:
    kept: list[int] = []
    for row in range(len(boxes_px)):
        rivals = [one for one in kept if labels[one] == labels[row]]
        if all(boxes.pairwise_iou(boxes_px[[one]], boxes_px[[row]])[0, 0] <= threshold for one in rivals):
            kept.append(row)
    return np.isin(np.arange(len(boxes_px)), kept)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 40), st.sampled_from([0.3, 0.55, 0.7]))
def test_suppression_is_the_textbook_one(seed: int, count: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 20, (count, 2))
    boxes_px = np.concatenate([corners, corners + rng.uniform(1, 15, (count, 2))], axis=1).astype(np.float32)
    labels = rng.integers(0, 3, count)
    assert np.array_equal(suppression.suppress(boxes_px, labels, threshold), slow_suppress(boxes_px, labels, threshold))


def slow_vote(
    boxes_px: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    row: int,
    voting: model_folder.Voting,
) -> list[float]:
    total, sums = 0.0, [0.0] * 4
    for other in range(len(boxes_px)):
        iou = float(boxes.pairwise_iou(boxes_px[[row]], boxes_px[[other]])[0, 0])
        if labels[other] != labels[row] or iou <= voting.iou or scores[other] < voting.score_share * scores[row]:
            continue
        total += float(scores[other]) * iou
        sums = [one + float(scores[other]) * iou * float(side) for one, side in zip(sums, boxes_px[other], strict=True)]
    return [one / total for one in sums]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([0.5, 0.7]), st.sampled_from([0.3, 0.7]))
def test_boxes_that_agree_have_a_say_and_no_other(seed: int, count: int, iou: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 3, (count, 2)) * 20 + rng.uniform(0, 3, (count, 2))
    boxes_px = np.concatenate([corners, corners + rng.uniform(10, 14, (count, 2))], axis=1).astype(np.float32)
    scores = np.sort(rng.uniform(0.01, 1, count).astype(np.float32))[::-1]
    labels, voting = rng.integers(0, 2, count), model_folder.Voting(iou, share)
    kept = np.flatnonzero(suppression.suppress(boxes_px, labels, 0.6))
    found = suppression.vote(boxes_px, scores, labels, kept, voting)
    wanted = [slow_vote(boxes_px, scores, labels, row, voting) for row in kept]
    assert found.dtype == np.float32 and np.allclose(found, wanted, atol=1e-4)


def test_a_box_without_area_stays_where_it_is() -> None:
    flat = np.asarray([[5, 5, 5, 9], [1, 1, 8, 8]], np.float32)
    found = suppression.vote(
        flat, np.asarray([0.9, 0.8], np.float32), np.asarray([0, 0]), np.asarray([0, 1]), model_folder.Voting(0.7, 0.7)
    )
    assert np.array_equal(found, flat)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.02, 0.9))
def test_what_is_asked_for_does_not_move_a_box(seed: int, min_score: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 3, (200, 2)) * 25 + rng.uniform(0, 2, (200, 2))
    raw = runtime.RawOutput(
        np.concatenate([corners, corners + rng.uniform(15, 20, (200, 2))], axis=1).astype(np.float32),
        rng.uniform(0, 1, (200, 2)).astype(np.float32),
    )
    prepared = letterbox.Prepared(np.zeros((1, 96, 96, 3), np.uint8), (0, 0), (96, 96), (96, 96))

    def found(asked_for: float) -> boxes.Detections:
        return suppression.detections_from(
            raw,
            prepared,
            score_floor=0.01,
            suppression_iou=0.6,
            voting=model_folder.Voting(0.7, 0.7),
            max_detections=500,
            min_score=asked_for,
        )

    everything, some = found(0.0), found(min_score)
    count = int(np.count_nonzero(everything.scores >= min_score))
    assert 0 < count == len(some) and np.array_equal(some.boxes_norm, everything.boxes_norm[:count])


def test_a_model_from_before_voting_answers_as_it_did(
    opened: predictor.Predictor, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    document = json.loads((copy / "model.json").read_text())
    assert document.pop("box_voting") == {"iou": 0.7, "score_share": 0.7}
    (copy / "model.json").write_text(json.dumps(document))
    former = predictor.Predictor.open(copy, streams=1)
    assert former.info.voting is None
    data = picture(3)
    before, now = former.predict(data), opened.predict(data)
    assert np.array_equal(before.scores, now.scores) and not np.array_equal(before.boxes_norm, now.boxes_norm)


def test_a_model_keeps_the_image_policy_that_it_was_trained_with(
    opened: predictor.Predictor, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(jpeg, "JPEG")
    without_end = jpeg.getvalue()[:-2]
    twelve_bits = io.BytesIO()
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)).save(twelve_bits, "PNG")
    assert opened.info.image_policy == decode.POLICY
    assert not opened.prepare(without_end).is_one_colour
    assert opened.prepare(twelve_bits.getvalue()).pixels.max() > 150
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    document = json.loads((copy / "model.json").read_text())
    assert document.pop("image_policy") == decode.POLICY
    (copy / "model.json").write_text(json.dumps(document))
    former = predictor.Predictor.open(copy, streams=1)
    assert former.info.image_policy == 1
    with pytest.raises(decode.DecodeError, match="truncated"):
        former.prepare(without_end)
    (left, top), (width, height) = (prepared := former.prepare(twelve_bits.getvalue())).offset_xy, prepared.scaled_wh
    assert prepared.pixels[0, top : top + height, left : left + width].max() < 16
    (copy / "model.json").write_text(json.dumps({**document, "image_policy": decode.POLICY + 1}))
    with pytest.raises(model_folder.ModelError, match="names image policy 3; this Boxwright knows 1 to 2"):
        predictor.Predictor.open(copy, streams=1)


def test_what_is_no_model_is_refused(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(model_folder.ModelError, match=r"there is no model\.json"):
        predictor.Predictor.open(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    document = json.loads((copy / "model.json").read_text())
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:-1] + b"x")
    with pytest.raises(model_folder.ModelError, match=r"is not the file that model\.json describes"):
        predictor.Predictor.open(copy)
    (copy / "model.onnx").unlink()
    with pytest.raises(model_folder.ModelError, match="cannot be read"):
        predictor.Predictor.open(copy)
    (copy / "model.json").write_text(json.dumps({**document, "format_version": 99}))
    with pytest.raises(model_folder.ModelError, match="format 99 is not supported"):
        predictor.Predictor.open(copy)
    (copy / "model.json").write_text("{")
    with pytest.raises(model_folder.ModelError, match="unreadable"):
        predictor.Predictor.open(copy)
    with pytest.raises(ValueError, match="precision"):
        predictor.Predictor.open(folder, precision="int8")


def test_only_opening_loads_the_runtime_and_nothing_calls_home(folder: pathlib.Path) -> None:
    script = f"""
import pathlib, sys
from boxwright.inference import predictor
assert "openvino" not in sys.modules and "torch" not in sys.modules
predictor.Predictor.open(pathlib.Path({str(folder)!r}), streams=1)
assert "openvino" in sys.modules and "torch" not in sys.modules
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
