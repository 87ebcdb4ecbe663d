"""The same images named in every way, on a real service: the same annotations, whatever brought them."""

from __future__ import annotations

import dataclasses
import gzip
import json
import pathlib
from collections.abc import Iterator

import pytest
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.batch_inputs import json_lines, parquet, tar
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.command_line import CommandLine

from boxwright import objects
from boxwright.batch.output import manifest

NAMES = [f"day {day}/{number:02d}, ä.jpg" for day in (1, 2) for number in range(10)]
URIS = [f"gs://ways/in/{name}" for name in NAMES]
CSV = "".join(f'"{uri}"\n' for uri in URIS).encode()


@dataclasses.dataclass
class World:
    """A service with a model of each kind and a bucket ``ways`` of a few images, one of them spoilt."""

    api: Api
    buckets: pathlib.Path
    bucket: pathlib.Path
    models: list[str]

    def write(self, name: str, content: bytes) -> str:
        (self.bucket / name).parent.mkdir(exist_ok=True)
        (self.bucket / name).write_bytes(content)
        return f"gs://ways/{name}"

    def predict(self, model: str, *inputs: str, **params: str) -> operations_pb2.Operation:
        operation = self.api.prediction.batch_predict(
            name=model,
            input_config={"gcs_source": {"input_uris": list(inputs)}},
            output_config={"gcs_destination": {"output_uri_prefix": "gs://ways/out/"}},
            params={"score_threshold": "0.1", **params},
        ).operation
        return self.api.finished(operation.name)

    def folder(self, operation: operations_pb2.Operation) -> pathlib.Path:
        assert not operation.HasField("error"), operation.error
        made = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        return self.bucket / made.removeprefix("gs://ways/")

    def lines(self, operation: operations_pb2.Operation) -> list[dict]:
        """All lines of results and errors; a member's ID is that of the single file."""
        paths = sorted(
            self.folder(operation).glob("*_*.jsonl"), key=lambda path: (path.name.startswith("errors"), path.name)
        )
        text = "".join(path.read_text() for path in paths).replace("gs://ways/all.tar#", "gs://ways/in/")
        return [json.loads(line) for line in text.replace("gs://ways/all.tgz#", "gs://ways/in/").splitlines()]


@pytest.fixture(scope="module")
def world(service, tiny_model: TinyModel, tiny_classifier: TinyModel) -> Iterator[World]:
    models = [
        tiny_model.install(service.data_dir, "IOD5200000000000000001"),
        tiny_classifier.install(service.data_dir, "ICN5200000000000000001"),
    ]
    bucket = service.bucket("ways")
    files = {}
    for number, name in enumerate(NAMES):
        path = bucket / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files[name] = b"no image" if number == 5 else drawn_images.draw(number).content
        path.write_bytes(files[name])
    (bucket / "in" / "notes.txt").write_text("no image")
    (bucket / "all.tar").write_bytes(tar(files | {"notes.txt": b"x"}))
    (bucket / "all.tgz").write_bytes(tar(files, "gz"))
    with open_api(service) as api:
        yield World(api, service.buckets, bucket, models)


WAYS = {
    "a folder": ["gs://ways/in/"],
    "a folder without its slash": ["gs://ways/in"],
    "a pattern": ["gs://ways/in/day */*.jpg"],
    "a CSV": ["list.csv", CSV],
    "a packed CSV": ["list.csv.gz", gzip.compress(CSV)],
    "JSON lines of Vertex": ["list.jsonl", json_lines([{"content": uri, "mimeType": "image/jpeg"} for uri in URIS])],
    "packed JSON lines": ["list.jsonl.gz", gzip.compress(json_lines([{"image_gcs_uri": uri} for uri in URIS]))],
    "a manifest of SageMaker": ["list.manifest", json_lines([{"source-ref": uri} for uri in URIS])],
    "Parquet": ["list.parquet", parquet(URIS)],
    "an archive": ["gs://ways/all.tar"],
    "a packed archive": ["gs://ways/all.tgz"],
    "several of them": ["gs://ways/in/day 1/", "gs://ways/in/{day 1,day 2}/*"],
}


@pytest.mark.parametrize("kind", [0, 1])
def test_the_same_images_have_the_same_annotations_whichever_way_they_are_named(world, kind):
    found = {}
    for way, (address, *content) in {way: words for way, words in WAYS.items() if way != "several of them"}.items():
        uri = world.write(f"lists/{address}", content[0]) if content else address
        operation = world.predict(world.models[kind], uri)
        found[way] = world.lines(operation)
        stores = objects.Stores(world.buckets, world.buckets.parent / "none")
        uri = objects.ObjectUri.parse(f"gs://ways/out/{world.folder(operation).name}")
        assert manifest.examine(stores, uri).problems == []
    reference = found.pop("a CSV")
    assert [line["ID"] for line in reference if "annotations" in line] == [uri for uri in URIS if uri != URIS[5]]
    assert sum(bool(line.get("annotations")) for line in reference) > 10
    for way, lines in found.items():
        assert [line for line in lines if "annotations" in line] == [
            line for line in reference if "annotations" in line
        ], way
        (failed,) = [line for line in lines if "status" in line]
        assert failed["ID"] == URIS[5]
        assert "Not an image" in failed["status"]["message"]


def test_several_ways_are_mixed_and_what_is_left_out_is_told(world):
    operation = world.predict(
        world.models[0], *WAYS["several of them"], world.write("one.csv", b"gs://ways/in/none.jpg\n")
    )
    written = json.loads((world.folder(operation) / "manifest.json").read_bytes())
    assert (written["rows_read"], written["duplicates_removed"], written["images_predicted"]) == (31, 10, 19)
    assert written["left_out"] == {}
    told = world.folder(world.predict(world.models[0], "gs://ways/in/"))
    assert json.loads((told / "manifest.json").read_bytes())["left_out"] == {"gs://ways/in/": {".txt": 1}}


def test_the_failed_members_of_an_archive_are_predicted_again_from_their_errors_file(world):
    first = world.folder(world.predict(world.models[0], "gs://ways/all.tar"))
    again = world.predict(world.models[0], f"gs://ways/out/{first.name}/errors_1.jsonl", "gs://ways/in/day 2/")
    assert [line["ID"] for line in world.lines(again) if "status" in line] == [URIS[5]]


def test_columns_and_suffixes_are_chosen_by_params(world):
    rows = b'n,where\n1,gs://ways/in/day 1/none.dat\n2,"' + URIS[0].encode() + b'"\n'
    listed = world.predict(world.models[0], world.write("named.csv", rows), input_column="where")
    assert [line["ID"] for line in world.lines(listed)] == [URIS[0], "gs://ways/in/day 1/none.dat"]
    (world.bucket / "other").mkdir(exist_ok=True)
    (world.bucket / "other" / "photo.dat").write_bytes((world.bucket / "in" / NAMES[0]).read_bytes())
    named = world.predict(world.models[0], "gs://ways/other/", input_suffixes=".dat")
    assert [line["ID"] for line in world.lines(named)] == ["gs://ways/other/photo.dat"]


HOSTILE = {
    "a folder of nothing": (["gs://ways/none/"], code_pb2.NOT_FOUND, "gs://ways/none/: there is nothing below"),
    "a folder of no images": (["gs://ways/lists/"], code_pb2.NOT_FOUND, "there is no image, only what is left out"),
    "Parquet without the column": (["gs://ways/x.parquet"], code_pb2.INVALID_ARGUMENT, "it has no column 'photo'"),
    "Parquet that is damaged": (["gs://ways/bad.parquet"], code_pb2.INVALID_ARGUMENT, "cannot be read as Parquet"),
    "an archive that is cut off": (["gs://ways/cut.tar"], code_pb2.INVALID_ARGUMENT, "cannot be read as a tar archive"),
    "a packed list that is cut off": (["gs://ways/cut.gz"], code_pb2.INVALID_ARGUMENT, "cannot be unpacked as gzip"),
    "an image": (["gs://ways/in/day 1/00, ä.jpg"], code_pb2.INVALID_ARGUMENT, "also takes the folder of the images"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_input_fails_with_what_it_is_and_the_service_stays(world, what):
    world.write("x.parquet", parquet(URIS))
    world.write("bad.parquet", parquet(URIS)[:-8] + b"\xff\xff\xff\x7fPAR1")
    world.write("cut.tar", tar({"a.jpg": bytes(5000)})[:3000])
    world.write("cut.gz", gzip.compress(CSV)[:-9])
    inputs, code, text = HOSTILE[what]
    operation = world.predict(world.models[0], *inputs, **({"input_column": "photo"} if "column" in what else {}))
    assert operation.error.code == code, operation
    assert text in operation.error.message
    assert "gs://ways/" in operation.error.message


def test_the_command_takes_folders_patterns_and_archives_and_describes_what_was_left_out(world, service):
    boxwright = CommandLine(service.url)
    inputs = ["gs://ways/in/day 1/", "gs://ways/in/day 2/*", "gs://ways/all.tar"]
    options = ["--threshold", "0.1", "--input-suffixes", ".jpg,.png", "--wait"]
    ran = boxwright("batch", "predict", world.models[0].rpartition("/")[2], *inputs, "gs://ways/out/", *options)
    assert ran.returncode == 3, ran.stderr  # two images fail, the spoilt one twice
    operation = ran.stderr.split("operations/")[1].split()[0]
    described = boxwright.done("operations", "describe", operation)
    assert "1 names that are no images" in described
    assert ", ".join(inputs) in described
    local = boxwright("batch", "predict", "m", "photos/", "gs://ways/out/")
    assert local.returncode == 2 and "'photos/' is a path of this machine" in local.stderr
