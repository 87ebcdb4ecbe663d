"""Results of a shard as a whole, from its table: lines of JSON, and the table of formats that a request may name.

Formatting a shard at once is what makes it fast: which results stay is found in arrays, and each of them is one string.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from arro3 import core

from boxwright.batch.output import annotation_text, candidates, json_lines
from boxwright.batch.output.candidates import SCALE
from boxwright.batch.output.selected_results import IMAGES_PER_SHARD, SelectedResults
from boxwright.batch.output.selected_results import selected as selected

PIXEL_DECIMALS = 3
_CORNERS = ("x_min", "y_min", "x_max", "y_max")


def json_lines_of(results: SelectedResults, keys: json_lines.Keys) -> bytes:
    """A line an image; see `json_lines.success_line`, whose bytes these are."""
    score, *corners = results.table.values[:, results.rows]
    if results.has_boxes:
        boxes = [json_lines.detection_frame(keys, *label) for label in results.labels]
        heads, tails = [head + '{"x":' for head, _, _ in boxes], [tail for _, _, tail in boxes]
        between = [',"y":', '},{"x":', ',"y":', "}" + boxes[0][1]] if boxes else []
    else:
        frames = [json_lines.classification_frame(keys, *label) for label in results.labels]
        heads, tails, between = [head for head, _ in frames], [tail for _, tail in frames], []
    text, starts = annotation_text.rows_text(
        np.stack([*corners, score]),
        SCALE,
        results.table.label_indices[results.rows],
        [f",{head}".encode("utf-8", "replace") for head in heads],
        [part.encode() for part in between],
        [tail.encode("utf-8", "replace") for tail in tails],
    )
    places = starts[results.offsets].tolist()
    parts: list[bytes] = []
    for image_id, start, end in zip(results.table.ids, places, places[1:], strict=False):
        head = f'{{"ID":{json_lines.quoted(image_id)},"annotations":['.encode("utf-8", "replace")
        parts += (head, text[start + 1 : end], b"]}\n")  # without the first comma
    return b"".join(parts)


def to_csv(results: SelectedResults, shard: int) -> bytes:
    """A header, and a row a box or label; an image in which nothing was found has no row."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["id", "label", "score", *(_CORNERS if results.has_boxes else ())])
    ids, names = results.table.ids, [name for _, name in results.labels]
    for image, label, *numbers in zip(
        results.image_indices, results.label_indices, *results.numbers.tolist(), strict=True
    ):
        writer.writerow([ids[image], names[label], *map(repr, numbers)])
    return target.getvalue().encode("utf-8", "replace")


def to_parquet(results: SelectedResults, shard: int) -> bytes:
    """The rows of `to_csv` as columns: id and label are texts, the numbers 64-bit floats."""
    ids = candidates.encodable(results.table.ids)
    names = candidates.encodable([name for _, name in results.labels])
    text = core.DataType.utf8()
    columns = {
        "id": core.Array([ids[image] for image in results.image_indices], type=text),
        "label": core.Array([names[label] for label in results.label_indices], type=text),
    }
    for name, values in zip(("score", *_CORNERS), results.numbers, strict=False):
        columns[name] = core.Array.from_numpy(np.ascontiguousarray(values))
    return candidates.parquet_bytes(core.RecordBatch.from_arrays(list(columns.values()), names=list(columns)), {})


def to_coco(results: SelectedResults, shard: int) -> bytes:
    """A COCO document of the shard's images: ``bbox`` in pixels of the upright image, ``score`` with each annotation.

    Ids are unique in the whole job: those of shard K begin at (K - 1) * 1,000,000 + 1. An annotation has the id of its image
    in millions, and its place in the image.
    """
    table = results.table
    first = (shard - 1) * IMAGES_PER_SHARD + 1
    widths, heights = table.width_px.tolist(), table.height_px.tolist()
    offsets, images = results.offsets, results.image_indices
    annotations: list[dict[str, Any]] = []
    for row, (image, label, score, *corners) in enumerate(
        zip(images, results.label_indices, *results.numbers.tolist(), strict=True)
    ):
        entry = {
            "id": (first + image) * 1_000_000 + row - offsets[image] + 1,
            "image_id": first + image,
            "category_id": label + 1,
            "score": score,
        }
        if corners:
            x_min, y_min, x_max, y_max = corners
            width, height = widths[image], heights[image]
            box = [x_min * width, y_min * height, (x_max - x_min) * width, (y_max - y_min) * height]
            entry["bbox"] = [round(side, PIXEL_DECIMALS) for side in box]
            entry |= {"area": round(box[2] * box[3], PIXEL_DECIMALS), "iscrowd": 0}
        annotations.append(entry)
    document = {
        "images": [
            {"id": first + image, "file_name": image_id, "width": widths[image], "height": heights[image]}
            for image, image_id in enumerate(table.ids)
        ],
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, (_, name) in enumerate(results.labels, 1)],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


@dataclasses.dataclass(frozen=True)
class ResultFormat:
    """A format of results.

    Attributes:
        suffix: of its files.
        write: makes the file of a shard, from the results and the shard's number.
        holds_labels: whether it has a place for labels of whole images.
    """

    suffix: str
    write: Callable[[SelectedResults, int], bytes]
    holds_labels: bool = True


def _of_tool(function: str) -> Callable[[SelectedResults, int], bytes]:
    """A function of `tool_files`, which is loaded once it is called: few jobs ask for what it imports."""

    def write(results: SelectedResults, shard: int) -> bytes:
        from boxwright.batch.output import tool_files

        made: bytes = getattr(tool_files, function)(results, shard)
        return made

    return write


ALL: Mapping[str, ResultFormat] = {
    "csv": ResultFormat("csv", to_csv),
    "parquet": ResultFormat("parquet", to_parquet),
    "coco": ResultFormat("json", to_coco),
    "yolo": ResultFormat("zip", _of_tool("to_yolo"), holds_labels=False),
    "voc": ResultFormat("zip", _of_tool("to_voc"), holds_labels=False),
    "cvat": ResultFormat("xml", _of_tool("to_cvat")),
    "labelstudio": ResultFormat("json", _of_tool("to_labelstudio")),
    "labelme": ResultFormat("zip", _of_tool("to_labelme")),
    "vertex": ResultFormat("jsonl", _of_tool("to_vertex")),
}


def names_for(*, boxes: bool) -> list[str]:
    """The formats that hold boxes, or labels of whole images."""
    return [name for name, form in ALL.items() if boxes or form.holds_labels]
