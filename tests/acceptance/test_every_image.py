"""A batch over the whole corpus: one record for each file, with the outcome that docs/images.md promises."""

from __future__ import annotations

import io
import json
import subprocess
import sys

from google.rpc import code_pb2
from PIL import Image
from tests.support.clients.api import open_api
from tests.support.images import corpus, drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.batch_jobs import in_order
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

from boxwright.batch.output.manifest import Manifest
from boxwright.images.decode import is_one_colour

LIMIT_BYTES = 30_000_000  # prediction_service.proto


def test_a_batch_over_every_kind_of_file_gives_one_record_for_each(service_factory, tiny_model: TinyModel):
    service = service_factory(environment={"BOXWRIGHT_SHARD_IMAGES": "64"})
    bucket = service.bucket("b")
    folder = bucket / "images"
    folder.mkdir()
    expected: dict[str, tuple[int, str]] = {}
    for sample in corpus.all_samples():
        (folder / sample.name).write_bytes(sample.content)
        expected[f"gs://b/images/{sample.name}"] = (sample.code, str(sample.outcome) if sample.code else "")
    blank = io.BytesIO()
    Image.new("RGB", (640, 480), (30, 60, 90)).save(blank, "JPEG")
    (folder / "blank.jpg").write_bytes(blank.getvalue())
    expected["gs://b/images/blank.jpg"] = (0, "")
    jpeg = drawn_images.draw(0).content
    for name, size_bytes in {"largest.jpg": LIMIT_BYTES, "too-large.jpg": LIMIT_BYTES + 1}.items():
        (folder / name).write_bytes(jpeg.ljust(size_bytes, b"\0"))
    expected["gs://b/images/largest.jpg"] = (0, "")
    too_large = f"has {LIMIT_BYTES + 1} bytes; the limit is {LIMIT_BYTES}."
    expected["gs://b/images/too-large.jpg"] = (code_pb2.INVALID_ARGUMENT, too_large)
    expected["gs://b/images/missing.jpg"] = (code_pb2.NOT_FOUND, "does not exist.")
    drawn_images.write_csv(bucket, "list.csv", [f'"{uri}"' for uri in expected])
    with open_api(service) as api:
        model = tiny_model.install(service.data_dir)
        operation = api.finished(api.start_batch(model, "gs://b/list.csv", "gs://b/out/"), timeout_s=300)
    assert not operation.HasField("error"), operation.error
    result_folder = crashes.result_folder(bucket, "out")
    output = crashes.contents(result_folder)
    good = [json.loads(line) for line in in_order(output, "image_object_detection").splitlines()]
    bad = [json.loads(line) for line in in_order(output, "errors").splitlines()]
    assert [one["ID"] for one in good] == [uri for uri, (code, _) in expected.items() if code == 0]
    assert [one["ID"] for one in bad] == [uri for uri, (code, _) in expected.items() if code != 0]
    for one in bad:
        code, sentence = expected[one["ID"]]
        assert one["status"]["code"] == code, one
        assert one["ID"] in one["status"]["message"] and one["status"]["message"].endswith(sentence), one
    manifest = Manifest.from_json(output["manifest.json"])
    assert (manifest.rows_read, manifest.images_predicted) == (len(expected), len(good))
    assert sum(manifest.errors_by_code.values()) == len(bad)
    assert manifest.images_of_one_colour == 1 + sum(
        sample.code == 0 and is_one_colour(sample.outcome.pixels) for sample in corpus.all_samples()
    )
    folder_uri = f"gs://b/{result_folder.relative_to(bucket)}"
    command = [sys.executable, "-m", "boxwright.cli", "verify", folder_uri, "--buckets", str(service.buckets)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert verified.returncode == 0, verified.stdout + verified.stderr
