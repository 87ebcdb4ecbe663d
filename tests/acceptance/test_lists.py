"""Lists as people really write them, on a real service: each is accepted, or told what is wrong and what to do."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import gzip
import io
import json
import pathlib
import unicodedata
import zipfile
from collections.abc import Iterator

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

BOX = "car,0.1,0.1,,,0.5,0.5,,"
NAMES = ["a.jpg", "b.jpg", "my cat.jpg", "d/c.jpg", unicodedata.normalize("NFC", "ü.jpg")]


@dataclasses.dataclass
class World:
    """A service with a model and a bucket ``lists`` of a few images."""

    api: Api
    bucket: pathlib.Path
    model: str

    def write(self, name: str, content: str | bytes) -> str:
        """Writes a list; returns its address."""
        (self.bucket / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return f"gs://lists/{name}"

    def predict(self, *lists: str) -> operations_pb2.Operation:
        """Predicts lists to the end."""
        return self.api.finished(self.call(*lists).name)

    def call(self, *lists: str, output: str = "gs://lists/out/") -> operations_pb2.Operation:
        """What a call of batchPredict answers."""
        return self.api.prediction.batch_predict(
            name=self.model,
            input_config={"gcs_source": {"input_uris": list(lists)}},
            output_config={"gcs_destination": {"output_uri_prefix": output}},
        ).operation

    def folder(self, operation: operations_pb2.Operation) -> pathlib.Path:
        """The folder of a batch prediction's results."""
        made = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        return self.bucket / made.removeprefix("gs://lists/")

    def lines(self, operation: operations_pb2.Operation, family: str) -> list[dict]:
        """All lines of a family of result files."""
        paths = sorted(self.folder(operation).glob(f"{family}_*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def world(service, tiny_model: TinyModel) -> Iterator[World]:
    with _opened(service, tiny_model) as opened:
        yield opened


@pytest.fixture
def patient(service_factory, tiny_model: TinyModel) -> Iterator[World]:
    """A world whose calls look at the stores for as long as a busy machine may take."""
    with _opened(service_factory(environment={"BOXWRIGHT_STORAGE_LOOK_S": "60"}), tiny_model) as opened:
        yield opened


@contextlib.contextmanager
def _opened(service, tiny_model: TinyModel) -> Iterator[World]:
    model = tiny_model.install(service.data_dir, "IOD5100000000000000001")
    bucket = service.bucket("lists")
    for number, name in enumerate(NAMES):
        (bucket / name).parent.mkdir(exist_ok=True)
        (bucket / name).write_bytes(drawn_images.draw(number).content)
    with open_api(service) as api:
        yield World(api, bucket, model)


def _told(operation: operations_pb2.Operation) -> str:
    """Everything that an operation says is wrong."""
    return "\n".join([operation.error.message, *(failure.message for failure in metadata(operation).partial_failures)])


# ---- what is accepted ---------------------------------------------------------------------------------------------------

IMAGE_ROWS = ["gs://lists/a.jpg", "gs://lists/my cat.jpg", "gs://lists/d/c.jpg"]
ACCEPTED = {
    "CRLF": "\r\n".join(IMAGE_ROWS),
    "CR": "\r".join(IMAGE_ROWS) + "\r",
    "a byte order mark": codecs.BOM_UTF8 + "\n".join(IMAGE_ROWS).encode(),
    "quotes": "\n".join(f'"{row}"' for row in IMAGE_ROWS),
    "blanks at the end": "\n".join(f"{row}  \t" for row in IMAGE_ROWS),
    "further columns": "\n".join(f"{row},car,0.5" for row in IMAGE_ROWS),
    "blank lines": "\n\n".join(IMAGE_ROWS) + "\n\n",
    "rows twice": "\n".join([*IMAGE_ROWS, *IMAGE_ROWS]),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_a_list_in_this_dress_is_predicted(world, what):
    operation = world.predict(world.write("accepted.csv", ACCEPTED[what]))
    assert not operation.HasField("error"), operation.error
    assert [line["ID"] for line in world.lines(operation, "image_object_detection")] == IMAGE_ROWS
    assert world.lines(operation, "errors") == []


# ---- files that are no list ---------------------------------------------------------------------------------------------


def _workbook() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return target.getvalue()


TEXT = "TRAIN,gs://lists/a.jpg," + BOX + "\n"
FILES: dict[str, tuple[bytes, str]] = {
    "UTF-16": (
        TEXT.encode("utf-16"),
        "this is text in UTF-16; a CSV is expected. Save it as UTF-8 text (in a spreadsheet",
    ),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "this is text in UTF-16"),
    "UTF-32": (TEXT.encode("utf-32"), "this is text in UTF-32"),
    "a workbook": (_workbook(), "this is a workbook of a spreadsheet program; a CSV is expected. Save the sheet"),
    "an image": (
        drawn_images.draw(0).content,
        "this is a JPEG image; a CSV is expected. Name a CSV that lists the images",
    ),
    "results": (b'{"ID":"gs://lists/a.jpg","annotations":[]}\n', "this "),
    "a manifest": (b'{\n "state": "SUCCEEDED"\n}\n', "this is JSON"),
    "a web page": (b"<!DOCTYPE html><html></html>", "this is a page of HTML"),
    "nothing": (b"", "no rows|empty input CSV"),
    "no line": (b"x" * 300_000, "a line is longer than"),
    "Latin-1": ("TRAIN,gs://lists/ä.jpg\n".encode("latin-1"), "line 1: this is not UTF-8 text"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_list_fails_both_jobs_by_what_it_is(world, what):
    content, text = FILES[what]
    uri = world.write("no-list.csv", content)
    for operation in (
        world.predict(uri),
        world.api.finished(world.api.start_import(world.api.create_dataset(), uri)),
    ):
        assert operation.error.code == code_pb2.INVALID_ARGUMENT
        assert any(part in operation.error.message for part in text.split("|")), operation.error.message


def test_a_packed_csv_is_no_import_yet(world):
    uri = world.write("packed.csv.gz", gzip.compress(TEXT.encode()))
    operation = world.api.finished(world.api.start_import(world.api.create_dataset(), uri))
    assert operation.error.code == code_pb2.INVALID_ARGUMENT
    assert "this is a gzip file; a CSV is expected. Unpack it and name the CSV." in operation.error.message


# ---- rows ---------------------------------------------------------------------------------------------------------------

BATCH_ROWS: dict[str, tuple[str, str]] = {
    "semicolons": ("gs://lists/a.jpg;car;0.5", "gs://lists/a.jpg does: separate the columns by commas"),
    "semicolons, the set first": (f"TRAIN;gs://lists/a.jpg;{BOX}", "The columns are separated by semicolons"),
    "tabs": ("1\tgs://lists/a.jpg", "The columns are separated by tabs"),
    "percent": ("gs://lists/my%20cat.jpg", "gs://lists/my cat.jpg does: write names as they are, not percent-encoded"),
    "another Unicode form": (unicodedata.normalize("NFD", "gs://lists/ü.jpg"), "in the other Unicode form (NFC)"),
    "backslash": ("gs://lists/d\\c.jpg", "gs://lists/d/c.jpg does: write / between folders"),
    "no scheme": ("lists/a.jpg", "write the whole address, as in gs://BUCKET/NAME"),
    "an import row": (f"TRAIN,gs://lists/a.jpg,{BOX}", "This is a row of an import CSV"),
    "another column": ("1,gs://lists/a.jpg", "The address is in column 2"),
    "s3": ("s3://lists/a.jpg", "s3:// is not served by this installation, only gs://"),
    "Windows": ("C:\\lists\\a.jpg", "it is a path of a Windows machine: copy the file into a bucket"),
    "web": ("https://storage.googleapis.com/lists/my%20cat.jpg", "write the object's address, gs://lists/my cat.jpg"),
    "typographic quotes": ("“gs://lists/a.jpg”", "take away the quotes"),
    "single quotes": ("'gs://lists/a.jpg'", "take away the quotes"),
    "a comment": ("# all images", "Lists have no comments; delete the line"),
    "a folder": ("gs://lists/d", "gs://lists/d does not exist; it is a folder"),
    "the list itself": ("gs://lists/rows.csv", "gs://lists/rows.csv"),
}


@pytest.mark.parametrize("what", BATCH_ROWS)
def test_a_row_that_people_write_is_told_what_to_write_with_its_place(world, what):
    row, text = BATCH_ROWS[what]
    operation = world.predict(world.write("rows.csv", f"gs://lists/b.jpg\n{row}\n"))
    assert not operation.HasField("error"), operation.error
    (failed,) = world.lines(operation, "errors")
    assert text in failed["status"]["message"]
    assert _told(operation).strip() == failed["status"]["message"]
    assert [line["ID"] for line in world.lines(operation, "image_object_detection")] == ["gs://lists/b.jpg"]


@pytest.mark.parametrize("header", ["image", "GCS_FILE_PATH,label", "image path", "Bild"])
def test_a_header_row_costs_one_error_line_that_says_so(world, header):
    operation = world.predict(world.write("header.csv", f"{header}\ngs://lists/a.jpg\ngs://lists/b.jpg\n"))
    (failed,) = world.lines(operation, "errors")
    assert "gs://lists/header.csv, line 1: " in failed["status"]["message"]
    assert "header row" in failed["status"]["message"]


def test_a_header_in_any_language_is_asked_for_in_an_import_too(world):
    uri = world.write("kopf.csv", f"Menge,Bild,Klasse\nTRAIN,gs://lists/a.jpg,{BOX}\nTRAIN,gs://lists/b.jpg,{BOX}\n")
    operation = world.api.finished(world.api.start_import(world.api.create_dataset(), uri))
    (failure,) = metadata(operation).partial_failures
    assert f"{uri}, line 1: " in failure.message
    assert "if this is a header row, delete it" in failure.message


def test_a_list_of_comments_alone_fails_and_says_what_they_are(world):
    operation = world.predict(world.write("comments.csv", "# one\n\n# two\n"))
    assert operation.error.code == code_pb2.INVALID_ARGUMENT
    assert "2 of 2 rows are not usable" in operation.error.message
    assert "Lists have no comments" in operation.error.message


IMPORT_ROWS: dict[str, tuple[str, str]] = {
    "semicolons": ("TRAIN;gs://lists/a.jpg;car;0.1;0.1;;;0.5;0.5;;", "the columns are separated by semicolons"),
    "decimal commas": ("TRAIN;gs://lists/a.jpg;car;0,1;0,1;;;0,5;0,5;;", "the columns are separated by semicolons"),
    "tabs": ("TRAIN\tgs://lists/a.jpg\tcar\t0.1\t0.1\t\t\t0.5\t0.5", "the columns are separated by tabs"),
    "a header": ("set,path,label,x1,y1,x2,y2,x3,y3,x4,y4", "this looks like a header row; delete it"),
    "a comment": ("# mine", "lists have no comments; delete the line"),
    "percent": (f"TRAIN,gs://lists/my%20cat.jpg,{BOX}", "gs://lists/my cat.jpg does: write names as they are"),
    "no scheme": (f"TRAIN,lists/a.jpg,{BOX}", "column 2: 'lists/a.jpg' is not a usable gs:// path"),
    "s3": (f"TRAIN,s3://lists/a.jpg,{BOX}", "s3:// is not served by this installation, only gs://"),
    "s3 without a set": (f"s3://lists/a.jpg,{BOX}", "column 1: 's3://lists/a.jpg' is not a usable s3:// path"),
    "Windows": (f"TRAIN,C:\\lists\\a.jpg,{BOX}", "it is a path of a Windows machine"),
    "web": (f"TRAIN,https://storage.googleapis.com/lists/a.jpg,{BOX}", "write the object's address, gs://lists/a.jpg"),
    "a folder": ("TRAIN,gs://lists/d", "gs://lists/d does not exist; it is a folder"),
}


@pytest.mark.parametrize("what", IMPORT_ROWS)
def test_an_import_row_that_people_write_is_told_what_to_write_with_its_place(world, what):
    row, text = IMPORT_ROWS[what]
    uri = world.write("import-rows.csv", f"TRAIN,gs://lists/b.jpg,{BOX}\n{row}\nTEST,gs://lists/d/c.jpg,{BOX}\n")
    dataset = world.api.create_dataset()
    operation = world.api.finished(world.api.start_import(dataset, uri))
    assert not operation.HasField("error"), operation.error
    (failure,) = metadata(operation).partial_failures
    assert f"{uri}, line 2: " in failure.message
    assert text in failure.message
    assert world.api.automl.get_dataset(name=dataset).example_count == 2


# ---- the call -----------------------------------------------------------------------------------------------------------


def test_a_call_answers_with_a_failed_operation_where_a_look_shows_that_it_must_fail(patient):
    good = patient.write("good.csv", "gs://lists/a.jpg\n")
    image = patient.write("picture.jpg", drawn_images.draw(0).content)
    spaced = patient.write("my list.csv", "gs://lists/a.jpg\n")
    calls = [
        (patient.call("gs://lists/none.csv"), code_pb2.NOT_FOUND, "gs://lists/none.csv does not exist"),
        (patient.call(spaced.replace(" ", "%20")), code_pb2.NOT_FOUND, f"{spaced} does: write names as they are"),
        (patient.call(image), code_pb2.INVALID_ARGUMENT, "this is a JPEG image"),
        (patient.call(good, output="gs://nowhere/out"), code_pb2.NOT_FOUND, "there is no bucket 'nowhere'"),
    ]
    for operation, code, text in calls:
        assert operation.done
        assert operation.error.code == code
        assert text in operation.error.message
        assert operation == patient.api.get(operation.name)
        details = automl_v1.OperationMetadata.pb(metadata(operation))
        assert details.WhichOneof("details") == "batch_predict_details"  # clients tell kinds by it
    assert not patient.call(good).done
    assert not patient.call("gs://lists/d").done  # a folder, whose images are predicted


def test_imports_and_exports_too_answer_with_a_failed_operation(patient):
    dataset = patient.api.create_dataset()
    imported = patient.api.automl.import_data(
        name=dataset, input_config={"gcs_source": {"input_uris": ["gs://lists/none.csv"]}}
    ).operation
    exported = patient.api.automl.export_data(
        name=dataset, output_config={"gcs_destination": {"output_uri_prefix": "gs://nowhere/out"}}
    ).operation
    for operation in (imported, exported):
        assert operation.done
        assert operation.error.code == code_pb2.NOT_FOUND
    patient.api.automl.delete_dataset(name=dataset).result(timeout=30)  # nothing is at work on it


def test_what_is_missing_of_the_service_is_told_before_any_object(world):
    with pytest.raises(exceptions.NotFound, match="The Dataset doesn't exist or is inaccessible"):
        world.api.start_import("projects/demo/locations/us-central1/datasets/IOD1", "gs://nowhere/none.csv")


def test_a_job_that_failed_at_the_call_can_be_resumed_once_its_list_is_there(patient):
    operation = patient.call("gs://lists/later.csv")
    assert operation.done
    patient.write("later.csv", "gs://lists/a.jpg\n")
    resumed = patient.api.finished(patient.api.resume(operation.name))
    assert not resumed.HasField("error"), resumed.error
    assert [line["ID"] for line in patient.lines(resumed, "image_object_detection")] == ["gs://lists/a.jpg"]


# ---- failed images again ------------------------------------------------------------------------------------------------


def test_the_errors_files_of_a_job_are_the_list_of_another(world):
    odd = ["a, b.jpg", 'say "hi".jpg', "ß ü😀.jpg", " blank .jpg", "100%.jpg"]
    rows = [
        "gs://lists/a.jpg",
        *('"gs://lists/' + name.replace('"', '""') + '"' for name in odd),
        "gs://lists/gone.jpg",
    ]
    first = world.predict(world.write("odd.csv", "\n".join(rows) + "\n"))
    failed = [f"gs://lists/{name}" for name in odd] + ["gs://lists/gone.jpg"]
    assert [line["ID"] for line in world.lines(first, "errors")] == failed
    for number, name in enumerate(odd):
        (world.bucket / name).write_bytes(drawn_images.draw(number).content)
    errors_file = f"gs://lists/out/{world.folder(first).name}/errors_1.jsonl"
    second = world.predict(errors_file, world.write("more.csv", "gs://lists/b.jpg\n"))
    found = [line["ID"] for line in world.lines(second, "image_object_detection")]
    assert found == [*(f"gs://lists/{name}" for name in odd), "gs://lists/b.jpg"]
    assert [line["ID"] for line in world.lines(second, "errors")] == ["gs://lists/gone.jpg"]


def test_files_of_results_are_no_list_and_say_what_is_one(patient):
    first = patient.predict(patient.write("one.csv", "gs://lists/a.jpg\n"))
    operation = patient.call(f"gs://lists/out/{patient.folder(first).name}/image_object_detection_1.jsonl")
    assert operation.done
    assert operation.error.code == code_pb2.INVALID_ARGUMENT
    assert "or the errors_N.jsonl files of former batch predictions" in operation.error.message


# ---- one image, two sets ------------------------------------------------------------------------------------------------


def _imported(world: World, dataset: str, *lists: str) -> list[str]:
    operation = world.api.finished(world.api.start_import(dataset, *lists))
    assert not operation.HasField("error"), operation.error
    return [failure.message for failure in metadata(operation).partial_failures]


def _exported(world: World, dataset: str) -> list[list[str]]:
    """Set, path and label of each row of the dataset."""
    config = {"gcs_destination": {"output_uri_prefix": "gs://lists/export"}}
    operation = world.api.finished(world.api.automl.export_data(name=dataset, output_config=config).operation.name)
    folder = metadata(operation).export_data_details.output_info.gcs_output_directory.removeprefix("gs://lists/")
    rows = (world.bucket / folder / "image_object_detection_1.csv").read_text().splitlines()
    return sorted(row.split(",")[:3] for row in rows)


def test_an_image_in_two_sets_stays_in_the_first_with_all_its_boxes_and_is_told(world):
    dataset = world.api.create_dataset()
    rows = [("TRAIN", "car"), ("TEST", "dog"), ("TEST", "cow"), ("", "cat")]
    text = "".join(f"{ml_use},gs://lists/a.jpg,{label},0.2,0.2,,,0.6,0.6,,\n" for ml_use, label in rows)
    uri = world.write("sets.csv", text)
    (told,) = _imported(world, dataset, uri)
    assert told == (
        f"{uri}, line 2: gs://lists/a.jpg is TEST here and TRAIN in {uri}, line 1; an image has one set, and TRAIN stays."
    )
    labels = ["car", "cat", "cow", "dog"]
    assert _exported(world, dataset) == [["TRAIN", "gs://lists/a.jpg", label] for label in labels]


def test_sets_are_compared_over_several_csvs_copies_and_imports(world):
    dataset = world.api.create_dataset()
    (world.bucket / "copy of a.jpg").write_bytes((world.bucket / "a.jpg").read_bytes())
    first = world.write("first.csv", f"TRAIN,gs://lists/a.jpg,{BOX}\n,gs://lists/b.jpg,{BOX}\n")
    second = world.write("second.csv", f"VALIDATION,gs://lists/copy of a.jpg,{BOX}\nTEST,gs://lists/b.jpg,{BOX}\n")
    (told,) = _imported(world, dataset, first, second)
    assert told.startswith(
        f"{second}, line 1: gs://lists/copy of a.jpg is VALIDATION here and has the content of gs://lists/a"
    )
    assert f"TRAIN in {first}, line 1" in told
    expected = [["TEST", "gs://lists/b.jpg", "car"], ["TRAIN", "gs://lists/a.jpg", "car"]]
    assert _exported(world, dataset) == expected
    third = world.write("third.csv", f"TEST,gs://lists/copy of a.jpg,{BOX}\n,gs://lists/b.jpg,{BOX}\n")
    (told,) = _imported(world, dataset, third)
    assert f"{third}, line 1: " in told
    assert "is TEST here and TRAIN in the dataset already, as gs://lists/a.jpg; " in told
    assert _exported(world, dataset) == expected
    assert _imported(world, dataset, first) == []
