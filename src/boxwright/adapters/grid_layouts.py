"""Layouts whose rows belong to the cells of grids, and those that end with six or seven columns."""

from __future__ import annotations

import numpy as np

from boxwright.adapters.nodes import NodeWriter
from boxwright.adapters.recognition import (
    Array,
    Decoded,
    Layout,
    Look,
    MismatchError,
    check_finite,
    check_fractions,
    check_ordered,
    check_pixels,
    check_scores,
    check_sides,
    check_whole,
    grids,
    rows_of,
    shape_of,
    table,
)
from boxwright.images.letterbox import LETTERBOX, LETTERBOX_TOP_LEFT

MOST_KEPT = 1000  # rows of a network that has chosen its boxes itself
MOST_OFFSET = (
    6.0  # strides between a cell and the centre of its box, for most rows of a network that is not trained to the end
)
ULTRALYTICS = "ultralytics"


def _grid_rows(look: Look, width: int, what: str, each: int) -> tuple[Array, str]:
    """The only output as rows (N, width) of grids, and the evidence for the grids."""
    name, arrays = look.single()
    found = table(arrays, width, what)
    rows = rows_of(arrays[0])
    strides = grids(rows, look.input_hw, each)
    height, width_px = look.input_hw
    if not strides and not look.is_said:
        raise MismatchError(
            f"needs {each} rows for a cell of its grids at {width_px} x {height} pixels, and there are {rows}"
        )
    number = "{each} rows" if each > 1 else "a row"
    fits = f", {number.format(each=each)} for a cell of the strides {', '.join(map(str, strides))}" if strides else ""
    return found, f"The output {name} is {shape_of(arrays[0])}: {what}{fits}."


def _objectness(look: Look, each: int) -> list[str]:
    rows, evidence = _grid_rows(look, 5 + look.labels, f"4 for a box, objectness, {look.labels} labels", each)
    return [evidence, check_sides(rows[:, :4], look.input_hw), check_scores(rows[:, 4:])]


def _yolov5(look: Look) -> list[str]:
    return _objectness(look, 3)


def _decode_objectness(writer: NodeWriter, look: Look) -> Decoded:
    name, _ = look.single()
    rows = writer.rows(look.names[name], 5 + look.labels)
    scores = writer.node("Mul", writer.columns(rows, 4, 5), writer.columns(rows, 5, 5 + look.labels))
    return writer.corners(writer.columns(rows, 0, 4)), scores


def _is_transposed(look: Look) -> bool:
    """Whether the rows are the last axis, as the family exports them; MismatchError if neither axis has the columns."""
    _, arrays = look.single()
    shape, width = arrays[0].shape, 4 + look.labels
    if len(shape) != 3 or shape[0] != 1 or width not in shape[1:]:
        raise MismatchError(
            f"needs {width} columns (4 for a box, {look.labels} labels), and the output is {shape_of(arrays[0])}"
        )
    if shape[1] == shape[2]:
        raise MismatchError(f"cannot tell rows from columns, as the output is {shape_of(arrays[0])}")
    return shape[1] == width


def _upright(look: Look) -> Look:
    """The look with rows before columns."""
    name, arrays = look.single()
    turned = [array.transpose(0, 2, 1) for array in arrays] if _is_transposed(look) else arrays
    return Look(**{**vars(look), "answers": {name: turned}})


def _yolov8(look: Look) -> list[str]:
    if not _is_transposed(look) and not look.is_said and ULTRALYTICS not in str(look.metadata.values()).lower():
        raise MismatchError(
            "has its rows as the last axis; with rows first it cannot be told from yolox with one label less, so say "
            "layout=yolov8 if it is that"
        )
    rows, evidence = _grid_rows(_upright(look), 4 + look.labels, f"4 for a box, {look.labels} labels", 1)
    return [evidence, check_sides(rows[:, :4], look.input_hw), check_scores(rows[:, 4:])]


def _decode_yolov8(writer: NodeWriter, look: Look) -> Decoded:
    name, _ = look.single()
    found = writer.cast(look.names[name])
    if _is_transposed(look):
        found = writer.node("Transpose", found, perm=[0, 2, 1])
    return writer.corners(writer.columns(found, 0, 4)), writer.columns(found, 4, 4 + look.labels)


def _cell_grid(hw: tuple[int, int], strides: tuple[int, ...]) -> tuple[Array, Array]:
    """The cells' columns and rows (A, 2), and their strides (A, 1): grid after grid, row after row."""
    places, sizes = [], []
    for stride in strides:
        rows, columns = np.meshgrid(np.arange(hw[0] // stride), np.arange(hw[1] // stride), indexing="ij")
        places.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        sizes.append(np.full((len(places[-1]), 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def _offsets(look: Look, *, is_raw: bool) -> Array:
    """How many strides the centres are away from their cells, (probes, A, 2), if the output is raw or decoded."""
    _, arrays = look.single()
    strides = grids(rows_of(arrays[0]), look.input_hw, 1)
    if not strides:
        raise MismatchError(f"needs a row for each cell of its grids, and there are {rows_of(arrays[0])}")
    places, sizes = _cell_grid(look.input_hw, strides)
    centres = np.stack([array.reshape(-1, array.shape[-1])[:, :2] for array in arrays])
    return centres if is_raw else centres / sizes - places


def _check_cells(look: Look, *, is_raw: bool) -> str:
    offsets = np.abs(_offsets(look, is_raw=is_raw))
    if np.median(offsets) > MOST_OFFSET or np.quantile(offsets, 0.9) > 2 * MOST_OFFSET:
        how = "offsets from their cells" if is_raw else "pixels near their cells"
        raise MismatchError(f"needs centres that are {how}, and these are not")
    return f"The centres of the probes are {'offsets from' if is_raw else 'pixels near'} the cells of their rows."


def _yolox(look: Look) -> list[str]:
    return [*_objectness(look, 1), _check_cells(look, is_raw=False)]


def _yolox_raw(look: Look) -> list[str]:
    rows, evidence = _grid_rows(look, 5 + look.labels, f"4 for a box, objectness, {look.labels} labels", 1)
    check_finite(rows)
    if np.quantile(rows[:, 2:4], MOST_RAW) > MOST_LOG:
        raise MismatchError("needs logarithms of widths and heights, and these are too large")
    return [evidence, check_scores(rows[:, 4:]), _check_cells(look, is_raw=True)]


MOST_RAW, MOST_LOG = 0.99, 8.0  # e^8 strides: far wider than any image


def _decode_yolox_raw(writer: NodeWriter, look: Look) -> Decoded:
    name, arrays = look.single()
    rows = writer.rows(look.names[name], 5 + look.labels)
    places, sizes = _cell_grid(look.input_hw, grids(rows_of(arrays[0]), look.input_hw, 1))
    strides = writer.constant(sizes[None], np.float32)
    centres = writer.node("Add", writer.columns(rows, 0, 2), writer.constant(places[None], np.float32))
    sides = writer.node("Mul", writer.node("Exp", writer.columns(rows, 2, 4)), strides)
    found = writer.node("Concat", writer.node("Mul", centres, strides), sides, axis=2)
    scores = writer.node("Mul", writer.columns(rows, 4, 5), writer.columns(rows, 5, 5 + look.labels))
    return writer.corners(found), scores


def _pair(look: Look) -> tuple[str, str]:
    """Names of boxes and scores among two outputs, told by their columns and, if both have four, by their order."""
    if len(look.answers) != 2:
        raise MismatchError(f"has two outputs, and the network has {len(look.answers)}")
    first, second = look.answers
    widths = [look.answers[name][0].shape[-1] if look.answers[name][0].ndim else 0 for name in (first, second)]
    if widths == [4, look.labels] or widths == [look.labels, 4]:
        if look.labels == 4:
            raise MismatchError("cannot tell boxes from scores, as both outputs have four columns")
        return (first, second) if widths[0] == 4 else (second, first)
    raise MismatchError(f"needs outputs with 4 and {look.labels} columns, and these have {widths[0]} and {widths[1]}")


def _yolonas(look: Look) -> list[str]:
    boxes, scores = _pair(look)
    corners = table(look.answers[boxes], 4, "corners")
    found = table(look.answers[scores], look.labels, f"{look.labels} labels")
    if len(corners) != len(found):
        raise MismatchError(f"needs as many boxes as rows of scores, and there are {len(corners)} and {len(found)}")
    return [
        f"The output {boxes} has 4 columns, and {scores} has {look.labels}.",
        check_scores(found),
        check_ordered(corners),
        check_pixels(corners, look.input_hw),
    ]


def _decode_yolonas(writer: NodeWriter, look: Look) -> Decoded:
    boxes, scores = _pair(look)
    return writer.rows(look.names[boxes], 4), writer.rows(look.names[scores], look.labels)


def _kept_rows(look: Look, width: int, what: str) -> Array:
    """The only output as rows of boxes that the network has chosen; those without any score are padding."""
    _, arrays = look.single()
    rows = table(arrays, width, what)
    if rows_of(arrays[0]) > MOST_KEPT:
        raise MismatchError(f"has at most {MOST_KEPT} rows, and the output is {shape_of(arrays[0])}")
    check_finite(rows)
    return rows


def _end_to_end(look: Look, first: int) -> tuple[list[str], Array]:
    name, arrays = look.single()
    rows = _kept_rows(look, 6, "left, top, right, bottom, score, class")
    scores = check_scores(rows[:, 4])
    found = rows[rows[:, 4] > TINY]
    evidence = [
        f"The output {name} is {shape_of(arrays[0])}: corners, score and class.",
        scores,
        check_whole(found[:, 5], first, look.labels),
        check_ordered(found[:, :4]),
    ]
    return evidence, found[:, :4]


TINY = 1e-6  # lower scores are padding


def _yolo_e2e(look: Look) -> list[str]:
    evidence, corners = _end_to_end(look, 0)
    return evidence if look.is_said and not len(corners) else [*evidence, check_pixels(corners, look.input_hw)]


def _yolo_e2e_norm(look: Look) -> list[str]:
    evidence, corners = _end_to_end(look, 0)
    return evidence if look.is_said and not len(corners) else [*evidence, check_fractions(corners)]


def _effdet_six(look: Look) -> list[str]:
    evidence, corners = _end_to_end(look, 1)
    return evidence if look.is_said and not len(corners) else [*evidence, check_pixels(corners, look.input_hw)]


def _decode_end_to_end(factors: tuple[float, float] | None, first: int, writer: NodeWriter, look: Look) -> Decoded:
    name, _ = look.single()
    rows = writer.rows(look.names[name], 6)
    boxes = writer.columns(rows, 0, 4)
    if factors is not None:
        boxes = writer.scaled(boxes, [*factors, *factors])
    return boxes, writer.spread(writer.columns(rows, 4, 5), writer.columns(rows, 5, 6), look.labels, first)


def _decode_yolo_e2e(writer: NodeWriter, look: Look) -> Decoded:
    return _decode_end_to_end(None, 0, writer, look)


def _decode_yolo_e2e_norm(writer: NodeWriter, look: Look) -> Decoded:
    return _decode_end_to_end((look.input_hw[1], look.input_hw[0]), 0, writer, look)


def _decode_effdet_six(writer: NodeWriter, look: Look) -> Decoded:
    return _decode_end_to_end(None, 1, writer, look)


def _effdet_rows(look: Look) -> tuple[list[str], Array]:
    name, arrays = look.single()
    rows = _kept_rows(look, 7, "image, box, score, class")
    if np.ptp(rows[:, 0]) > TINY:
        raise MismatchError("has the image's number first, and that column is not the same everywhere")
    found = rows[rows[:, 5] > TINY]
    evidence = [
        f"The output {name} is {shape_of(arrays[0])}: the image's number, a box, score and class.",
        check_scores(rows[:, 5]),
        check_whole(found[:, 6], 1, look.labels),
    ]
    return evidence, found[:, 1:5]


def _effdet(look: Look) -> list[str]:
    evidence, corners = _effdet_rows(look)
    if look.is_said and not len(corners):
        return evidence
    return [*evidence, check_ordered(corners), check_pixels(corners, look.input_hw)]


def _effdet_sides(look: Look) -> list[str]:
    evidence, found = _effdet_rows(look)
    if look.is_said and not len(found):
        return evidence
    if (found[:, 2:] < 0).any() or (found[:, :2] + found[:, 2:] > 1.05 * np.asarray(look.input_hw[::-1])).mean() > 0.01:
        raise MismatchError("needs left, top, width and height in the image, and these boxes go beyond it")
    return [*evidence, check_pixels(found, look.input_hw)]


def _decode_effdet(writer: NodeWriter, look: Look) -> Decoded:
    name, _ = look.single()
    rows = writer.rows(look.names[name], 7)
    order = writer.constant([2, 1, 4, 3], np.int64)
    scores = writer.spread(writer.columns(rows, 5, 6), writer.columns(rows, 6, 7), look.labels, 1)
    return writer.node("Gather", rows, order, axis=2), scores


def _decode_effdet_sides(writer: NodeWriter, look: Look) -> Decoded:
    name, _ = look.single()
    rows = writer.rows(look.names[name], 7)
    starts = writer.columns(rows, 1, 3)
    ends = writer.node("Add", starts, writer.columns(rows, 3, 5))
    scores = writer.spread(writer.columns(rows, 5, 6), writer.columns(rows, 6, 7), look.labels, 1)
    return writer.node("Concat", starts, ends, axis=2), scores


LAYOUTS = (
    Layout("yolov5", "(1, N, 5 + C): centre, size, objectness, labels; three rows for a cell", _yolov5, _decode_objectness,
           ("rgb01",), (LETTERBOX,), is_suppressed=True, family=ULTRALYTICS),
    Layout("yolov8", "(1, 4 + C, N) or (1, N, 4 + C): centre, size, labels; a row for a cell", _yolov8, _decode_yolov8,
           ("rgb01",), (LETTERBOX,), is_suppressed=True, family=ULTRALYTICS),
    Layout("yolo-e2e", "(1, K, 6): corners in pixels, score, class from 0", _yolo_e2e, _decode_yolo_e2e,
           ("rgb01",), (LETTERBOX,), family=ULTRALYTICS),
    Layout("yolo-e2e-norm", "(1, K, 6): corners from 0 to 1, score, class from 0", _yolo_e2e_norm, _decode_yolo_e2e_norm,
           ("rgb01",), (LETTERBOX,), family=ULTRALYTICS),
    Layout("yolox", "(1, N, 5 + C): centre, size, objectness, labels; a row for a cell", _yolox, _decode_objectness,
           ("bgr255",), (LETTERBOX_TOP_LEFT,), is_suppressed=True),
    Layout("yolox-raw", "(1, N, 5 + C): as yolox, before the grids and strides are applied", _yolox_raw,
           _decode_yolox_raw, ("bgr255",), (LETTERBOX_TOP_LEFT,), is_suppressed=True),
    Layout("yolonas", "(1, N, 4) corners in pixels and (1, N, C) scores", _yolonas, _decode_yolonas,
           ("rgb01", "rgb255"), (LETTERBOX, LETTERBOX_TOP_LEFT), is_suppressed=True),
    Layout("effdet", "(1, K, 7): image, top, left, bottom, right in pixels, score, class from 1", _effdet, _decode_effdet,
           ("imagenet",), (LETTERBOX_TOP_LEFT,), fill=124),
    Layout("effdet-sides", "(1, K, 7): image, left, top, width, height in pixels, score, class from 1", _effdet_sides,
           _decode_effdet_sides, ("imagenet",), (LETTERBOX_TOP_LEFT,), fill=124),
    Layout("effdet-corners", "(1, K, 6): corners in pixels, score, class from 1", _effdet_six, _decode_effdet_six,
           ("imagenet",), (LETTERBOX_TOP_LEFT,), fill=124),
)  # fmt: skip
