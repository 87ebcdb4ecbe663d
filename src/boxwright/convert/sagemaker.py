"""SageMaker Ground Truth's output manifests: an image a line, labels under the name of a labelling job; boxes in pixels.

Fields: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html. `NAME-metadata` beside `NAME` tells what kind
of job it was and what its classes are called. The confidence of a job that people did is no score of a model.
"""

from __future__ import annotations

import json
import pathlib
from typing import IO, Any

from boxwright import errors, states
from boxwright.convert import (
    dataset,
    entries,
    folders,
    json_documents,
    json_kinds,
    options,
    outlines,
    output,
    pictures,
)

NO_S3 = "image whose address does not begin with s3://, which SageMaker cannot read (--image-prefix)"
SEVERAL = "SageMaker line with several labelling jobs: the last one is taken"
FAILED = "SageMaker line of an image that was not labelled (failure-reason): left out"
CONFIDENCE = "SageMaker confidence of an annotation by people, which is dropped"
UNLABELLED = "SageMaker line without a labelling job: kept as an image without a box or label"
METADATA = "-metadata"
_KINDS = ("object-detection", "image-classification", "image-classification-multilabel")
_CREATED = "1970-01-01T00:00:00.000000"  # a manifest must have a date; the same boxes are to be the same bytes
_JOB = {False: "bounding-box", True: "class"}


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a manifest, or a folder with one."""
    return any(json_kinds.lines_format_name(json_kinds.beginning(file)) == "sagemaker" for file in _files(source)[:1])


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every line of the manifest, or of the folder's; the set is taken from the name of the file.

    Raises:
        ApiError: INVALID_ARGUMENT naming file and line.
    """
    files = _files(source)
    if not files:
        raise errors.bad_request(f"{source}: there is no manifest here.")
    for file in files:
        split = options.SPLITS.get(file.stem.lower(), chosen.split)
        for where, entry in json_documents.lines(file, chosen.told):
            _read_line(entry, where, split, data, chosen)


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one manifest, if the target ends in .manifest or .jsonl, or a folder with one a set.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    common, of_labels = data.common_folder(), data.holds()[1]
    classes = {label: number for number, label in enumerate(data.labels())}
    has_several = data.has_several_labels()

    def write_set(split: states.MlUse | None, handle: IO[str]) -> None:
        for picture in data.pictures(split):
            address = options.address(picture.path, common, chosen.image_prefix)
            if not address.startswith("s3://"):
                chosen.told.note(NO_S3, address)
            job = _JOB[of_labels]
            content = _labels(picture, classes, has_several) if of_labels else _boxes(picture, classes)
            line: dict[str, Any] = {"source-ref": address}
            if content is not None:
                line[job], metadata = content
                line[job + METADATA] = {**metadata, "job-name": f"labeling-job/{job}", "creation-date": _CREATED}
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")

    names = {split: f"{options.SPLIT_NAMES[split]}.manifest" for split in data.splits()}
    is_file = target.suffix.lower() in (".manifest", ".jsonl")
    output.write_sets(target, None if is_file else names, write_set)


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if source.is_dir():
        return list(folders.files(source, {".manifest"}))
    return [source] if source.suffix.lower() in (".manifest", ".jsonl") else []


def _read_line(
    entry: dict[str, Any], where: str, split: states.MlUse, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    path = entry.get("source-ref")
    if not isinstance(path, str) or not path:
        chosen.told.refuse(where, "it has no source-ref, which names the image")
        return
    jobs = [(key.removesuffix(METADATA), _object(value)) for key, value in entry.items() if key.endswith(METADATA)]
    known = [(name, metadata) for name, metadata in jobs if _kind(metadata) in _KINDS and name in entry]
    if jobs and not known:
        if any("failure-reason" in metadata for _, metadata in jobs):
            chosen.told.note(FAILED, where)
        else:
            kinds = ", ".join(_kind(metadata) or "unknown" for _, metadata in jobs)
            chosen.told.refuse(where, f"its labelling job ({kinds}) is none of {', '.join(_KINDS)}")
        return
    if len(known) > 1:
        chosen.told.note(SEVERAL, where)
    name, metadata = known[-1] if known else ("", {})
    content = entry.get(name)
    if _kind(metadata) == _KINDS[0]:
        sizes = _object(content).get("image_size")
        first = _object(sizes[0]) if isinstance(sizes, list) and sizes else {}
        size_hw = entries.pixel_size(first.get("height"), first.get("width"))
        added = pictures.add_sized(data, chosen, path, split, size_hw, where)
        if added is not None:
            _read_boxes(_object(content), metadata, *added, where, data, chosen)
        return
    image_id = pictures.add(data, chosen, path, split, None, where)
    if image_id is not None and known:
        _read_labels(content, metadata, image_id, where, data, chosen)
    elif image_id is not None:
        chosen.told.note(UNLABELLED, where)


def _read_boxes(
    content: dict[str, Any],
    metadata: dict[str, Any],
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    names, objects = _object(metadata.get("class-map")), metadata.get("objects")
    for index, annotation in enumerate(entries.objects(content.get("annotations"))):
        place = f"{where}, annotation {index}"
        sides = entries.finite([annotation.get(side) for side in ("left", "top", "width", "height")], 4)
        label = names.get(str(annotation.get("class_id")))
        problem = None
        if sides is None:
            problem = "it lacks one of the numbers left, top, width, height"
        elif not isinstance(label, str):
            problem = f"class_id {annotation.get('class_id')!r} is not in the class-map"
        elif size_hw is None:
            problem = pictures.NO_SIZE
        if problem or sides is None or size_hw is None or not isinstance(label, str):
            chosen.told.refuse(place, problem or "")
            data.lost_box(image_id)
            continue
        left, top, width, height = sides
        corners = outlines.in_fractions((left, top, left + width, top + height), size_hw)
        given = _object(objects[index]) if isinstance(objects, list) and index < len(objects) else {}
        score = _score(given.get("confidence"), metadata, place, chosen)
        data.add_box(image_id, dataset.Box(label, corners, score=score), place)


def _read_labels(
    content: Any,
    metadata: dict[str, Any],
    image_id: int,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    if _kind(metadata) == _KINDS[1]:
        score = _score(metadata.get("confidence"), metadata, where, chosen)
        data.add_image_label(image_id, str(metadata.get("class-name") or ""), where, score)
        return
    names, scores = _object(metadata.get("class-map")), _object(metadata.get("confidence-map"))
    for number in map(str, content if isinstance(content, list) else []):
        score = _score(scores.get(number), metadata, where, chosen)
        data.add_image_label(image_id, str(names.get(number) or ""), where, score)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(metadata: dict[str, Any]) -> str:
    return str(metadata.get("type") or "").removeprefix("groundtruth/")


def _score(value: Any, metadata: dict[str, Any], where: str, chosen: options.ConvertOptions) -> float | None:
    if str(metadata.get("human-annotated")).lower() == "no":
        return entries.told_score(value, where, chosen.told)
    if value not in (None, 0, 1):
        chosen.told.note(CONFIDENCE, where)
    return None


def _confidence(score: float | None, is_model: bool) -> dict[str, float]:
    return {} if score is None and is_model else {"confidence": 1 if score is None else score}


def _boxes(picture: dataset.Picture, classes: dict[str, int]) -> tuple[Any, dict[str, Any]]:
    height, width = picture.size_hw or (0, 0)
    annotations = []
    for box in picture.boxes:
        left, top, right, bottom = outlines.in_pixels(box.corners_norm, picture.size_hw)
        sides = {"left": left, "top": top, "width": round(right - left, 9), "height": round(bottom - top, 9)}
        whole = {name: int(side) if side.is_integer() else side for name, side in sides.items()}
        annotations.append({"class_id": classes[box.label], **whole})
    is_model = any(box.score is not None for box in picture.boxes)
    named = {str(classes[box.label]): box.label for box in picture.boxes}
    metadata = {
        "objects": [_confidence(box.score, is_model) for box in picture.boxes],
        "class-map": dict(sorted(named.items(), key=lambda item: int(item[0]))),
        "type": f"groundtruth/{_KINDS[0]}",
        "human-annotated": "no" if is_model else "yes",
    }
    return {"image_size": [{"width": width, "height": height, "depth": 3}], "annotations": annotations}, metadata


def _labels(picture: dataset.Picture, classes: dict[str, int], has_several: bool) -> tuple[Any, dict[str, Any]] | None:
    is_model = any(score is not None for score in picture.label_scores)
    human = "no" if is_model else "yes"
    if not picture.labels:
        return None
    if not has_several:
        (label,), (score,) = picture.labels, picture.label_scores
        kind = f"groundtruth/{_KINDS[1]}"
        found = {"class-name": label, **_confidence(score, is_model), "type": kind, "human-annotated": human}
        return classes[label], found
    numbers = [classes[label] for label in picture.labels]
    scored = zip(numbers, picture.label_scores, strict=True)
    confidences = {str(number): _confidence(score, is_model) for number, score in scored}
    return numbers, {
        "class-map": {str(classes[label]): label for label in picture.labels},
        "confidence-map": {number: found["confidence"] for number, found in confidences.items() if found},
        "type": f"groundtruth/{_KINDS[2]}",
        "human-annotated": human,
    }
