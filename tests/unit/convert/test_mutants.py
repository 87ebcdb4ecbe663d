"""A file in which one thing is wrong is read or refused by a sentence: no reader fails in a way that nobody expected."""

from __future__ import annotations

import contextlib
import copy
import json
import pathlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from boxwright import errors, states
from boxwright.convert import account, dataset, formats, image_files, options

JUNK = [None, True, -1, 0, 2.5, 1e300, 10**40, "", "x", "../x", "\0", " ", [], [1], [[]], {}, {"a": 1}, "é" * 300]
BY_LINE = ("vertex", "sagemaker")
IN_ONE = ("coco", "labelstudio", "datumaro")


@pytest.fixture(params=[25, pytest.param(120, marks=pytest.mark.full)])
def mutants(request: pytest.FixtureRequest) -> int:
    """How many mistakes are made in each file."""
    return request.param


@contextlib.contextmanager
def _open(folder: pathlib.Path, *, skip_bad: bool = False) -> Iterator[tuple[dataset.Dataset, options.ConvertOptions]]:
    told = account.Account(skip_bad=skip_bad)
    with contextlib.closing(image_files.Finder([folder])) as finder, dataset.Dataset(told) as data:
        yield data, options.ConvertOptions(told, finder)


def _source(name: str, folder: pathlib.Path, *, of_labels: bool, scored: bool) -> pathlib.Path:
    """A file or folder of that format with three images."""
    with _open(folder) as (data, chosen):
        for number in range(3):
            image_id = data.add_image(f"{number}.jpg", states.MlUse.TRAIN, (480, 640), "here")
            for label in ("cat", "dog")[:number]:
                if of_labels:
                    data.add_image_label(image_id, label, "here", 0.5 if scored else None)
                else:
                    box = dataset.Box(label, (0.1, 0.2, 0.5, 0.9), frozenset({dataset.CROWD}), 0.5 if scored else None)
                    data.add_box(image_id, box, "here")
        data.seal()
        one = formats.FORMATS[name]
        target = folder / f"x{one.target_suffixes[0] if one.target_suffixes else ''}"
        one.load().write(data, target, chosen)
    return target


def _places(document: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in a document."""
    found = []
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        found.append((document, key))
        found += _places(document[key])
    return found


def _mutated(document: Any, drawn: random.Random) -> Any:
    changed = copy.deepcopy(document)
    container, key = drawn.choice(_places(changed))
    if drawn.random() < 0.2:
        del container[key]
    else:
        container[key] = drawn.choice(JUNK)
    return changed


def _reads_or_refuses(name: str, source: pathlib.Path, *, skip_bad: bool) -> None:
    with _open(source.parent / "nowhere", skip_bad=skip_bad) as (data, chosen):
        try:
            formats.FORMATS[name].load().read(source, data, chosen)
            data.seal()
            list(data.pictures())
        except errors.ApiError as refusal:
            assert source.name in refusal.message, refusal.message


def _check(
    name: str, source: pathlib.Path, mutate: Callable[[random.Random], str], mutants: int, *, file: pathlib.Path
) -> None:
    for number in range(mutants):
        text = mutate(random.Random(number))
        file.write_text(text, encoding="utf-8")
        _reads_or_refuses(name, source, skip_bad=bool(number % 2))


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("of_labels", [False, True])
@pytest.mark.parametrize("name", IN_ONE)
def test_a_document_with_a_mistake(
    name: str, of_labels: bool, scored: bool, mutants: int, tmp_path: pathlib.Path
) -> None:
    source = _source(name, tmp_path, of_labels=of_labels, scored=scored)
    document = json.loads(source.read_bytes())
    _check(name, source, lambda drawn: json.dumps(_mutated(document, drawn)), mutants, file=source)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("of_labels", [False, True])
@pytest.mark.parametrize("name", BY_LINE)
def test_a_line_with_a_mistake(name: str, of_labels: bool, scored: bool, mutants: int, tmp_path: pathlib.Path) -> None:
    source = _source(name, tmp_path, of_labels=of_labels, scored=scored)
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    _check(name, source, lambda drawn: "\n".join(map(json.dumps, _mutated(lines, drawn))), mutants, file=source)


@pytest.mark.parametrize("of_labels", [False, True])
def test_a_labelme_file_with_a_mistake(of_labels: bool, mutants: int, tmp_path: pathlib.Path) -> None:
    source = _source("labelme", tmp_path, of_labels=of_labels, scored=True)
    document = json.loads((source / "2.json").read_bytes())
    _check("labelme", source, lambda drawn: json.dumps(_mutated(document, drawn)), mutants, file=source / "2.json")


@pytest.mark.parametrize("of_labels", [False, True])
def test_a_line_of_results_with_a_mistake(of_labels: bool, mutants: int, tmp_path: pathlib.Path) -> None:
    vertices = [{"x": 0.1, "y": 0.2}, {"x": 0.5, "y": 0.9}]
    box = {"image_object_detection": {"bounding_box": {"normalized_vertices": vertices}, "score": 0.5}}
    found = {
        "annotation_spec_id": "1",
        "display_name": "cat",
        **({"classification": {"score": 0.5}} if of_labels else box),
    }
    lines = [{"ID": f"gs://b/{number}.jpg", "annotations": [found] * number} for number in range(3)]
    source = tmp_path / "image_object_detection_1.jsonl"
    _check("results", source, lambda drawn: "\n".join(map(json.dumps, _mutated(lines, drawn))), mutants, file=source)


@pytest.mark.parametrize("name", ["cvat", "coco", "labelstudio", "datumaro", "vertex", "sagemaker"])
def test_a_file_with_other_characters(name: str, mutants: int, tmp_path: pathlib.Path) -> None:
    """Characters are put in, taken out or doubled, so that it is often not even JSON or XML."""
    source = _source(name, tmp_path, of_labels=False, scored=True)
    text = source.read_text(encoding="utf-8")

    def mutate(drawn: random.Random) -> str:
        start = drawn.randrange(len(text))
        end = min(len(text), start + drawn.choice((0, 1, 3, 20)))
        return (
            text[:start]
            + drawn.choice(("", "<", '"', "&", "-", "9", "x", "\0", "}", "]", text[start:end] * 2))
            + text[end:]
        )

    _check(name, source, mutate, mutants, file=source)


@pytest.mark.parametrize("junk", ["", "x", "-1", "nan", "inf", "1e400", "&amp;", "../x", "9" * 400])
def test_an_attribute_of_cvat_with_another_value(junk: str, tmp_path: pathlib.Path) -> None:
    source = _source("cvat", tmp_path, of_labels=False, scored=True)
    text = source.read_text(encoding="utf-8")
    values = [place for place in range(len(text)) if text[place : place + 2] == '="']
    for place in values:
        end = text.index('"', place + 2)
        source.write_text(text[: place + 2] + junk + text[end:], encoding="utf-8")
        for skip_bad in (False, True):
            _reads_or_refuses("cvat", source, skip_bad=skip_bad)
