"""The mistakes of newcomers: the dry run and the real call name each of them in a sentence, with the remedy."""

from __future__ import annotations

import gzip
import io
import pathlib
import re
import zipfile

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

MODEL_ID = "IOD6800000000000000001"
MODEL = f"projects/demo/locations/us-central1/models/{MODEL_ID}"
A, B = "gs://slips/a.jpg", "gs://slips/b b.jpg"
OUTPUT = "gs://slips/out/"


@pytest.fixture(scope="module")
def bucket(service, tiny_model: TinyModel) -> pathlib.Path:
    tiny_model.install(service.data_dir, MODEL_ID)
    folder = service.bucket("slips")
    for number, name in enumerate(("a.jpg", "b b.jpg", "only/c.jpg")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(drawn_images.draw(number).content)
    (folder / "texts").mkdir()
    (folder / "texts/readme.txt").write_text("hello\n")
    (folder / "nothing").mkdir()
    results = folder / "mine/prediction-x-2026-11-28T09:00:00.000Z"
    results.mkdir(parents=True)
    (results / "manifest.json").write_text("{}\n")
    (results / "thumbnail.jpg").write_bytes(drawn_images.draw(5).content)
    (folder / "mine/a.jpg").write_bytes(drawn_images.draw(6).content)
    (folder / "file.txt").write_text("a file\n")
    return folder


@pytest.fixture(scope="module")
def api(service, bucket):
    with open_api(service) as opened:
        yield opened


def _told(api: Api, source: str, output: str, params: dict[str, str]) -> str:
    """Everything that a call or its operation says."""
    try:
        operation = api.finished(api.start_batch(MODEL, source, output, **params))
    except exceptions.GoogleAPICallError as error:
        return str(error)
    result = automl_v1.BatchPredictResult.pb(automl_v1.BatchPredictResult())
    operation.response.Unpack(result)
    failures = [failure.message for failure in metadata(operation).partial_failures]
    return "\n".join([operation.error.message, *failures, result.metadata.get("warnings", ""), _left_out(result)])


def _left_out(result) -> str:
    return f"left out: {result.metadata['left_out']}" if "left_out" in result.metadata else ""


def _workbook() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return target.getvalue()


def _zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("list.csv", A)
    return target.getvalue()


# the list's content, or an address; what is said of it
LISTS: dict[str, tuple[str | bytes, str]] = {
    "a header row": (f"image\n{A}\n{A}\n{B}\n", "This looks like a header row; delete it"),
    "semicolons": (f"{A};cat\n{B};dog\n", "gs://slips/a.jpg does: separate the columns by commas"),
    "tabs": (f"{A}\tcat\n", "separate the columns by commas|separated by tabs; separate them by commas"),
    "percent-encoded names": ("gs://slips/b%20b.jpg\n", "write names as they are, not percent-encoded"),
    "no gs://": ("slips/a.jpg\n", r"write the whole address, as in gs://BUCKET/NAME"),
    "a path of Linux": ("/photos/a.jpg\n", "it is a path of some machine: copy the file into a bucket"),
    "a path of Windows": ("C:\\photos\\a.jpg\n", "it is a path of a Windows machine: copy the file into a bucket"),
    "s3://": ("s3://slips/a.jpg\n", "s3:// is not served by this installation, only gs://; the setting schemes"),
    "https://": ("https://storage.googleapis.com/slips/a.jpg\n", "write the object's address, gs://slips/a.jpg"),
    "capital GS://": ("GS://slips/a.jpg\n", "write the scheme in small letters"),
    "one slash": ("gs:/slips/a.jpg\n", "two slashes stand before the bucket"),
    "an import CSV": (f"TEST,{A},cat\n", "this is a row of an import CSV; a list for predictions has"),
    "the label first": (f"cat,{A}\n", "the address is in column 2; a list has it in column 1"),
    "a comment": (f"# my images\n{A}\n{B}\n", "lists have no comments; delete the line"),
    "sep=": (f"sep=;\n{A}\n{B}\n", "this line is meant for spreadsheet programs; delete it"),
    "a folder as a row": (f"gs://slips/only/\n{A}\n{B}\n", "a folder is no row of a list; name it beside the list"),
    "curly quotes": (f"“{A}”\n", "take away the quotes, brackets or invisible characters"),
    "backslashes": ("gs://slips/only\\c.jpg\n", "write / between folders"),
    "UTF-16": (f"{A}\n".encode("utf-16"), "this is text in UTF-16; a CSV is expected. Save it as UTF-8 text"),
    "Latin-1": ("gs://slips/ä.jpg\n".encode("latin-1"), "this is not UTF-8 text .* Save it as UTF-8"),
    "a workbook": (_workbook(), "this is a workbook of a spreadsheet program; .* Save the sheet as CSV UTF-8"),
    "a ZIP archive": (_zip(), "this is a ZIP archive; a CSV is expected. Unpack it and name the CSV"),
    "an image as the list": (drawn_images.draw(0).content, "this is a JPEG image; .* Name a CSV that lists the images"),
    "a web page": (b"<!DOCTYPE html><html></html>", "this is a page of HTML or XML; .* Look at how it was downloaded"),
    "an empty list": (b"", "BatchPredict could not start due to empty input CSV file"),
    "a list of blank lines": (b"\n\n \n", "BatchPredict could not start due to empty input CSV file"),
    "results as the list": (
        b'{"ID":"gs://slips/a.jpg","annotations":[]}\n',
        "this file has results of a batch prediction, not a list of images",
    ),
    "JSON Lines without an address": (b'{"caption":"a cat"}\n', "JSON without an image's address under content, image"),
    "a damaged gzip file": (gzip.compress(f"{A}\n".encode() * 1000)[:60], "is cut off|damaged"),
    "an image that is not there": ("gs://slips/none.jpg\n", "gs://slips/none.jpg does not exist"),
    "a bucket that is not there": ("gs://nowhere/a.jpg\n", "there is no bucket 'nowhere'"),
}
CALLS: dict[str, tuple[str, str, dict[str, str], str]] = {
    "a missing list": ("gs://slips/none.csv", OUTPUT, {}, "gs://slips/none.csv does not exist"),
    "a missing list in a missing bucket": ("gs://nowhere/l.csv", OUTPUT, {}, "there is no bucket 'nowhere'"),
    "a missing output bucket": ("gs://slips/good.csv", "gs://nowhere/out/", {}, "there is no bucket 'nowhere'"),
    "an output that is a file": ("gs://slips/good.csv", "gs://slips/file.txt", {}, "file.txt"),
    "an output of a machine": ("gs://slips/good.csv", "/tmp/out/", {}, "it does not start with gs://"),
    "a list of a machine": ("/tmp/list.csv", OUTPUT, {}, "it does not start with gs://"),
    "a list at s3://": ("s3://slips/list.csv", OUTPUT, {}, "s3:// is not served by this installation"),
    "a folder without images": ("gs://slips/texts/", OUTPUT, {}, "there is no image, only what is left out"),
    "an empty folder": ("gs://slips/nothing/", OUTPUT, {}, "there is nothing below gs://slips/nothing/"),
    "a pattern that nothing matches": ("gs://slips/*.png", OUTPUT, {}, "there is no image of that name"),
    "own results below the folder": ("gs://slips/mine/", OUTPUT, {}, "left out: 2|holds results of .* are left out"),
    "a label that the model has not": (
        "gs://slips/good.csv",
        OUTPUT,
        {"labels": "catt"},
        "The model has no label 'catt'",
    ),
    "a threshold in per cent": (
        "gs://slips/good.csv",
        OUTPUT,
        {"score_threshold": "50"},
        "50 is not a number from 0.0",
    ),
}


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "real"])
@pytest.mark.parametrize("what", LISTS)
def test_a_list_with_this_mistake_is_told_what_to_do(api, bucket, what, dry):
    content, said = LISTS[what]
    name = re.sub(r"\W", "-", f"{what}-{dry}")
    (bucket / f"{name}.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    told = _told(api, f"gs://slips/{name}.csv", OUTPUT, {"validate_only": "true"} if dry else {})
    assert re.search(said, told, re.IGNORECASE), told


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "real"])
@pytest.mark.parametrize("what", CALLS)
def test_a_call_with_this_mistake_is_told_what_to_do(api, bucket, what, dry):
    source, output, params, said = CALLS[what]
    (bucket / "good.csv").write_text(f"{A}\n{B}\n")
    told = _told(api, source, output, params | ({"validate_only": "true"} if dry else {}))
    assert re.search(said, told, re.IGNORECASE), told
