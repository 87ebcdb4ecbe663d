"""A detector that was trained elsewhere, by commands alone: imported, looked at, validated, refused."""

from __future__ import annotations

import json
import re

import pytest
from tests.support.images import drawn_images
from tests.support.networks import foreign_onnx
from tests.support.services.command_line import CommandLine, fields


@pytest.fixture
def boxwright(service) -> CommandLine:
    """Runs commands that are pointed at the session's service, in a project of their own."""
    return CommandLine(service.url, project="own-onnx")


def test_a_network_is_imported_described_and_listed(boxwright, service, tmp_path):
    folder = service.bucket("own-onnx")
    (folder / "best-2.onnx").write_bytes(foreign_onnx.of("yolox-raw"))
    labels = tmp_path / "names.txt"
    labels.write_text("a, with a comma\nb\nc\n\n")
    printed = boxwright(
        "models", "import", "gs://own-onnx/best-2.onnx", "--labels", labels, "--licence", "AGPL-3.0", "--wait"
    )
    assert printed.returncode == 0, printed.stderr
    assert "unvalidated" in printed.stdout + printed.stderr
    assert "AGPL-3.0" in printed.stdout + printed.stderr
    described = boxwright.done("models", "describe", "best_2")
    assert "unvalidated" in described
    found = fields(described)
    assert (found["model type"], found["layout"], found["licence"]) == ("imported", "yolox-raw", "AGPL-3.0")
    assert found["resize mode"] == "letterbox-topleft"
    assert re.search(r"^IOD\d+ +best_2 +imported +undeployed", boxwright.done("models", "list"), re.MULTILINE)
    exported = boxwright("models", "export", "best_2", "gs://own-onnx/out/", "--wait")
    assert exported.returncode == 0, exported.stderr
    (names,) = folder.glob("out/model-export/iod/*/dict.txt")
    assert names.read_text() == "a, with a comma\nb\nc\n"


def test_labelled_images_validate_and_a_wrong_list_is_refused(boxwright, service):
    folder = service.bucket("own-onnx-csv")
    (folder / "best.onnx").write_bytes(foreign_onnx.of("yolov8"))
    csv_uri = drawn_images.write_dataset(folder, 24)
    names = ",".join((*drawn_images.LABELS, "other"))
    (folder / "names.txt").write_text(names.replace(",", "\n"))
    arguments = ["models", "import", "gs://own-onnx-csv/best.onnx", "--labels", "gs://own-onnx-csv/names.txt"]
    refused = boxwright(*arguments, "--validate", csv_uri, "--name", "validated", "--wait")
    assert refused.returncode == 1
    assert "next to none of the boxes" in refused.stdout + refused.stderr
    more = ("--validate", csv_uri, "--name", "validated", "--accept", "unvalidated", "--wait")
    assert boxwright(*arguments, *more).returncode == 0
    described = json.loads(boxwright.done("models", "describe", "validated", "--json"))
    assert described["details"]["adapter"]["images"] == 24
    assert len(described["evaluations"]) == 4


def test_a_file_of_this_machine_is_no_network(boxwright, tmp_path):
    path = tmp_path / "best.onnx"
    path.write_bytes(b"")
    refused = boxwright("models", "import", path)
    assert refused.returncode == 2
    assert "is a path of this machine" in refused.stderr
