"""Results of a shard in the formats of labelling tools.

A format with a file an image is a ZIP archive: its members lie where the tool looks for them beside `images/NAME`, and
``files_K.tsv`` says which image each name is. NAME is the image's address without its scheme.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import pathlib
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence

from boxwright import states
from boxwright.batch.output.selected_results import IMAGES_PER_SHARD, SelectedResults
from boxwright.tool_formats import cvat, labelme, labelstudio, vertex, voc, yolo
from boxwright.tool_formats.pictures import Box, Picture

MAX_PART_BYTES = 200  # of one part of a name; file systems take 255, and a suffix may follow
_NO_FILE_CHARACTERS = ("Cc", "Cs", "Cn", "Zl", "Zp")  # by Unicode's categories: no file or XML should hold them
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that the format knows: equal results give equal bytes
_MODE = 0o100644 << 16


def to_yolo(results: SelectedResults, shard: int) -> bytes:
    """A ZIP archive: data.yaml and classes.txt with the labels, a text file an image; the sixth value is the score."""
    names = [name for _, name in results.labels]
    numbers = {name: number for number, name in reversed(list(enumerate(names)))}
    files = _names(results.table.ids)
    texts = [("data.yaml", yolo.description(names, {})), ("classes.txt", "".join(f"{name}\n" for name in names))]
    for picture, file in zip(_pictures(results), files, strict=True):
        text = yolo.text(picture, numbers)
        texts += [(path, text) for path in yolo.label_files(file)]
    return _archive(texts, results, files, shard)


def to_voc(results: SelectedResults, shard: int) -> bytes:
    """A ZIP archive with an XML file an image below Annotations: whole pixels, and no scores."""
    files = _names(results.table.ids)
    pictures = zip(_pictures(results), files, strict=True)
    texts = [(f"Annotations/{_stem(file)}.xml", voc.document(picture, file)[0]) for picture, file in pictures]
    return _archive(texts, results, files, shard)


def to_labelme(results: SelectedResults, shard: int) -> bytes:
    """A ZIP archive with a JSON file an image; labels of whole images are flags, without scores."""
    files = _names(results.table.ids)
    pictures = zip(_pictures(results), files, strict=True)
    texts = [(f"{_stem(file)}.json", labelme.document(picture, file)) for picture, file in pictures]
    return _archive(texts, results, files, shard)


def to_cvat(results: SelectedResults, shard: int) -> bytes:
    """A document of CVAT for images; ids count from those of the shards before."""
    first = (shard - 1) * IMAGES_PER_SHARD
    parts = [cvat.head(name for _, name in results.labels)]
    for number, (picture, file) in enumerate(zip(_pictures(results), _names(results.table.ids), strict=True), first):
        parts += cvat.image(picture, number, file)
    return _encoded("".join([*parts, cvat.TAIL]))


def to_labelstudio(results: SelectedResults, shard: int) -> bytes:
    """A list of tasks with predictions, a task a line."""
    tasks = (labelstudio.task(picture, picture.path, is_model=True) for picture in _pictures(results))
    lines = ",\n".join(json.dumps(task, ensure_ascii=False) for task in tasks)
    return _encoded(f"[\n{lines}\n]\n")


def to_vertex(results: SelectedResults, shard: int) -> bytes:
    """A line an image, as Vertex AI writes predictions; ids are those of annotation specs."""
    ids = {name: spec_id for spec_id, name in reversed(results.labels)}
    lines = (
        vertex.prediction(picture, picture.path, ids, has_boxes=results.has_boxes) for picture in _pictures(results)
    )
    return _encoded("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _pictures(results: SelectedResults) -> Iterator[Picture]:
    """The images with what is published of them, in order."""
    table, offsets = results.table, results.offsets
    names = [results.labels[index][1] for index in results.label_indices]
    scores, *sides = results.numbers.tolist()
    corners = list(zip(*sides, strict=True))
    sizes = zip(table.height_px.tolist(), table.width_px.tolist(), strict=True)
    bounds = itertools.pairwise(offsets)
    unassigned, no_marks = states.MlUse.UNASSIGNED, frozenset[str]()
    for number, (image_id, size_hw, (start, end)) in enumerate(zip(table.ids, sizes, bounds, strict=True), 1):
        if results.has_boxes:
            found = range(start, end)
            boxes = tuple([Box(names[row], corners[row], no_marks, scores[row]) for row in found])
            yield Picture(number, image_id, unassigned, size_hw, boxes)
        else:
            labels, own = tuple(names[start:end]), tuple(scores[start:end])
            yield Picture(number, image_id, unassigned, size_hw, labels=labels, label_scores=own)


def _archive(texts: Sequence[tuple[str, str]], results: SelectedResults, files: Sequence[str], shard: int) -> bytes:
    """A ZIP archive of these members, behind them the list of the images' names."""
    listed = io.StringIO(newline="")
    writer = csv.writer(listed, delimiter="\t", lineterminator="\n")
    writer.writerow(["file", "id"])
    writer.writerows(zip(files, results.table.ids, strict=True))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in (*texts, (f"files_{shard}.tsv", listed.getvalue())):
            member = zipfile.ZipInfo(name, _TIME)
            member.create_system, member.external_attr = 3, _MODE  # the same on every machine
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _encoded(text))
    return target.getvalue()


def _names(ids: Sequence[str]) -> list[str]:
    """A name for each image of a shard; no two are alike up to their suffix, as label files have none of the image."""
    taken: set[str] = set()
    names = []
    for image_id in ids:
        name = file_name(image_id)
        count = 1
        while _stem(name) in taken:
            path = pathlib.PurePosixPath(file_name(image_id))
            again = "_".join([path.stem, path.suffix[1:] or "image", *([str(count)] if count > 1 else [])])
            name, count = str(path.with_name(again + path.suffix)), count + 1
        taken.add(_stem(name))
        names.append(name)
    return names


def file_name(image_id: str) -> str:
    """The name of a file for an image: its address without the scheme, each part one that a file system takes."""
    _, has_scheme, rest = image_id.partition("://")
    path = rest if has_scheme else image_id
    return "/".join(_part(part) for part in path.split("/") if part) or "image"


def _part(part: str) -> str:
    """One folder or file: what no name can hold is written as in a URI, a long one ends with its digest."""
    if part in (".", ".."):
        return "%2E" * len(part)
    if not part.isprintable() or "\\" in part:
        part = "".join(
            "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
            if character == "\\" or unicodedata.category(character) in _NO_FILE_CHARACTERS
            else character
            for character in part
        )
    raw = part.encode()
    if len(raw) <= MAX_PART_BYTES:
        return part
    suffix = pathlib.PurePosixPath(part).suffix
    suffix = suffix if len(suffix.encode()) <= 8 else ""
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return f"{raw[: MAX_PART_BYTES - 30].decode('utf-8', 'ignore')}~{digest}{suffix}"


def _stem(name: str) -> str:
    return str(pathlib.PurePosixPath(name).with_suffix(""))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
