"""Files made to exhaust a machine are refused with a sentence, and take little memory meanwhile."""

from __future__ import annotations

import json
import pathlib
import tracemalloc

import pytest

from boxwright import cli
from boxwright.convert import json_documents

MIB = 1024 * 1024
MOST_BYTES = 250 * MIB  # an entry of 16 MiB is decoded, joined and kept for a moment
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<{root}><image name="&b;"/></{root}>'
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>'
DEEP = 1_000_000
DEEP_JSON = "[" * DEEP + "]" * DEEP
IMAGE_LIST = '{"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}], "annotations": ['
LABELME = '{"imagePath": "a.png", "imageHeight": 9, "imageWidth": 9, "shapes": '

# name → the file, its text, its format, words of the refusal
FILES = {
    "an XML bomb of CVAT": ("annotations.xml", BOMB.format(root="annotations"), "cvat", "document type or entities"),
    "an XML bomb of VOC": ("a.xml", BOMB.format(root="annotation"), "voc", "document type or entities"),
    "an entity from outside": ("annotations.xml", OUTSIDE, "cvat", "document type or entities"),
    "XML of many nestings": ("annotations.xml", "<annotations>" + "<image>" * DEEP, "cvat", "nested too deep"),
    "COCO of many nestings": ("x.json", f'{IMAGE_LIST}{{"bbox": {DEEP_JSON}}}]}}', "coco", "nested too deep"),
    "COCO that is nothing else": ("x.json", f'{{"images": {DEEP_JSON}}}', "coco", "nested too deep"),
    "objects of many nestings": (
        "x.json",
        f"{IMAGE_LIST}{'{' + chr(34) + 'a' + chr(34) + ':'}" * 2,
        "coco",
        "not JSON",
    ),
    "tasks of many nestings": ("x.json", f'[{{"data": {DEEP_JSON}}}]', "labelstudio", "nested too deep"),
    "Datumaro of many nestings": ("x.json", f'{{"items": [{DEEP_JSON}]}}', "datumaro", "nested too deep"),
    "LabelMe of many nestings": ("a.json", f"{LABELME}{DEEP_JSON}}}", "labelme", "nested too deep"),
    "a line of many nestings": ("x.jsonl", f'{{"imageGcsUri": {DEEP_JSON}}}', "vertex", "nested too deep"),
    "a manifest of many nestings": ("x.manifest", f'{{"source-ref": {DEEP_JSON}}}', "sagemaker", "nested too deep"),
    "results of many nestings": ("x.jsonl", f'{{"ID": {DEEP_JSON}}}', "results", "nested too deep"),
}
# name → the file, its format, what it begins with; then it goes on without an end
ENDLESS = {
    "a text in COCO": ("x.json", "coco", '{"images": [{"file_name": "'),
    "a number in COCO": ("x.json", "coco", '{"images": [{"id": 1'),
    "a text of tasks": ("x.json", "labelstudio", '[{"data": {"image": "'),
    "a text in Datumaro": ("x.json", "datumaro", '{"dm_format_version": "'),
    "a line of Vertex AI": ("x.jsonl", "vertex", '{"imageGcsUri": "'),
    "a line of a manifest": ("x.manifest", "sagemaker", '{"source-ref": "'),
    "a line of results": ("x.jsonl", "results", '{"ID": "'),
    "an attribute of CVAT": ("annotations.xml", "cvat", '<annotations><image name="'),
    "a text of CVAT": ("annotations.xml", "cvat", "<annotations><image><box><attribute>"),
    "a comment of CVAT": ("annotations.xml", "cvat", "<annotations><!-- "),
    "a LabelMe file": ("a.json", "labelme", '{"imageData": "'),
}


def _refused(file: pathlib.Path, format_name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The refusal of a file; little memory was taken, and nothing was written."""
    source = file.parent if format_name == "voc" else file
    target = file.parent.parent / "x.csv"
    tracemalloc.start()
    try:
        status = cli.main(["convert", str(source), str(target), "--from", format_name])
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status == 2
    assert most_bytes < MOST_BYTES
    assert not target.exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("case", FILES)
def test_bombs_are_refused(case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, text, format_name, words = FILES[case]
    file = tmp_path / "in" / name
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    told = _refused(file, format_name, capsys)
    assert words in told
    assert name in told


def _check_endless(case: str, size_bytes: int, folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, format_name, start = ENDLESS[case]
    file = folder / "in" / name
    file.parent.mkdir()
    with file.open("wb") as handle:
        handle.write(start.encode())
        for _ in range(size_bytes // MIB):
            handle.write(b"1" * MIB)
    told = _refused(file, format_name, capsys)
    assert "more than" in told or "out of range" in told, told
    assert name in told
    file.unlink()  # the folders of a run are kept for a while


@pytest.mark.parametrize("case", [case for case in ENDLESS if case != "a LabelMe file"])
def test_what_does_not_end_is_refused(case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    _check_endless(case, 3 * json_documents.MAX_ENTRY_CHARS, tmp_path, capsys)


@pytest.mark.full
@pytest.mark.parametrize("case", ENDLESS)
def test_a_gigabyte_that_does_not_end_is_refused(
    case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _check_endless(case, 1024 * MIB, tmp_path, capsys)


def test_entries_across_the_blocks_of_a_file_are_read_whole(tmp_path: pathlib.Path) -> None:
    """Lists of every length from a few bytes to several blocks, with characters of two to four bytes."""
    for padding in range(64):
        listed = [{"é猫😀" * (7 * padding): number, "n": -1.5e3} for number in range(1500)]
        file = tmp_path / "x.json"
        text = json.dumps({"before": [1, "]", {}], "listed": listed, "after": {"a": [True, None]}}, ensure_ascii=False)
        file.write_text(" " * padding + text, encoding="utf-8-sig" if padding % 2 else "utf-8")
        document = json_documents.Document(file, kept={"after"})
        assert [entry for _, entry in document.entries("listed")] == listed
        assert [entry for _, entry in document.entries("before")] == [1, "]", {}]
        assert document.values == {"after": {"a": [True, None]}}
        assert not document.has("nothing") and list(document.entries("nothing")) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "an object or a list is expected"),
        ("3", 1, "an object or a list is expected"),
        ('{"a": [1,\n2,\n]}', 3, "Expecting value"),
        ('{"a": [1\n2]}', 2, "',' or ']' is expected"),
        ('{"a": [1, 2]\n', 2, "it is cut off"),
        ('{"a": 1,\n}', 2, "a name in quotes"),
        ('{"a"\n 1}', 2, "':' is expected"),
        ('{"a": 1,\n"a": 2}', 2, "stands twice"),
        ("{" + ",".join(f'"{number}": 1' for number in range(10_001)) + "}", 1, "more than 10000 members"),
        ('{"a": [1]}\n]', 2, "there is more after its end"),
        ('{"a": [1,\nInfinity]}', 2, "Infinity is no number"),
        ('{"a": [' + "9" * 5000 + "]}", 1, "out of range"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, line: int, words: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(json_documents.JsonError, match=words) as raised:
        json_documents.Document(file)
    assert raised.value.line == line


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": [1,\n"\xff"]}')
    with pytest.raises(json_documents.JsonError, match="not UTF-8"):
        json_documents.Document(tmp_path / "x.json")
