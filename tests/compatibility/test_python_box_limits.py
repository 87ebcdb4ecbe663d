"""The official Python client imports boxes that AutoML did not take: small ones, and many."""

from __future__ import annotations

import csv
import itertools
import pathlib

import pytest
from google.api_core import exceptions
from google.longrunning import operations_pb2
from PIL import Image
from tests.support.clients.api import Api, metadata, open_api

_numbers = itertools.count(1)
WIDTH_PX, HEIGHT_PX = 2000, 1500
BIG = (0.1, 0.1, 0.6, 0.7)
WIDE = {"wide_box_limits": "true"}


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture
def folder(service) -> pathlib.Path:
    """A bucket of a test's own with two photographs."""
    made: pathlib.Path = service.bucket(f"box-limits-{next(_numbers)}")
    for name, colour in (("a.jpg", "red"), ("b.jpg", "blue")):
        Image.new("RGB", (WIDTH_PX, HEIGHT_PX), colour).save(made / name)
    return made


def _edge(left_px: int, top_px: int, edge_px: float) -> tuple[float, ...]:
    corners = (left_px, top_px, left_px + edge_px, top_px + edge_px)
    return tuple(round(value / (WIDTH_PX, HEIGHT_PX)[index % 2], 6) for index, value in enumerate(corners))


def _list(folder: pathlib.Path, boxes: list[tuple[str, tuple[float, ...]]]) -> str:
    with (folder / "labels.csv").open("w", newline="") as target:
        for name, (x_min, y_min, x_max, y_max) in boxes:
            row = ["TRAIN", f"gs://{folder.name}/{name}", "cell", x_min, y_min, "", "", x_max, y_max, "", ""]
            csv.writer(target).writerow(row)
    return f"gs://{folder.name}/labels.csv"


def _import(api: Api, dataset: str, uri: str, params: dict[str, str]) -> operations_pb2.Operation:
    config = {"gcs_source": {"input_uris": [uri]}, "params": params}
    return api.finished(api.automl.import_data(name=dataset, input_config=config).operation.name)


def _boxes(api: Api, dataset: str, folder: pathlib.Path) -> list[tuple[float, ...]]:
    prefix = f"gs://{folder.name}/out-{next(_numbers)}/"
    config = {"gcs_destination": {"output_uri_prefix": prefix}}
    operation = api.finished(api.automl.export_data(name=dataset, output_config=config).operation.name)
    output = metadata(operation).export_data_details.output_info.gcs_output_directory
    files = sorted((folder / output.removeprefix(f"gs://{folder.name}/")).glob("*.csv"))
    rows = [row for file in files for row in csv.reader(file.read_text().splitlines())]
    return sorted(tuple(round(float(row[place]), 6) for place in (3, 4, 7, 8)) for row in rows)


def test_boxes_from_two_pixels_on_are_imported_where_they_are_asked_for(api: Api, folder: pathlib.Path) -> None:
    small, tiny = _edge(300, 200, 3), _edge(700, 200, 1)
    listed = [("a.jpg", BIG), ("a.jpg", small), ("b.jpg", BIG), ("b.jpg", tiny), ("b.jpg", _edge(900, 200, 2))]
    uri = _list(folder, [*listed, ("a.jpg", _edge(50, 50, 400)), ("b.jpg", _edge(50, 50, 400))])
    strict, wide, again = (api.create_dataset() for _ in range(3))

    told = metadata(_import(api, strict, uri, {})).partial_failures
    assert [one.message.rpartition(": ")[0].rpartition(" ")[2] for one in told] == ["2", "4", "5"]
    assert all("2 pixels in an import with wide_box_limits=true" in one.message for one in told)
    assert len(_boxes(api, strict, folder)) == 4

    operation = _import(api, wide, uri, WIDE)
    (refused,) = metadata(operation).partial_failures
    assert f"gs://{folder.name}/b.jpg: 1 of its boxes have an edge below 2 pixels" in refused.message
    assert api.progress(operation.name)["wide_box_limits"] is True
    boxes = _boxes(api, wide, folder)
    assert small in boxes and tiny not in boxes and len(boxes) == 6

    exported = sorted(folder.glob("out-*/**/*.csv"))[-1]
    assert not metadata(
        _import(api, again, f"gs://{folder.name}/{exported.relative_to(folder)}", WIDE)
    ).partial_failures
    assert _boxes(api, again, folder) == boxes


def test_an_image_has_five_thousand_boxes_at_most(api: Api, folder: pathlib.Path) -> None:
    places = itertools.islice(itertools.product(range(0, 1500, 20), range(0, 1400, 20)), 5001)
    uri = _list(folder, [("a.jpg", _edge(left, top, 30)) for left, top in places])
    strict, wide = api.create_dataset(), api.create_dataset()
    failed = _import(api, strict, uri, {})
    assert "more than 500 boxes; wide_box_limits=true allows 5000" in failed.error.message
    (refused,) = metadata(_import(api, wide, uri, WIDE)).partial_failures
    assert refused.message.endswith("has more than 5000 boxes")
    assert len(_boxes(api, wide, folder)) == 5000


def test_another_value_is_refused_at_once(api: Api, folder: pathlib.Path) -> None:
    dataset = api.create_dataset()
    with pytest.raises(exceptions.BadRequest, match=r"input_config\.params\.wide_box_limits"):
        _import(api, dataset, _list(folder, [("a.jpg", BIG)]), {"wide_box_limits": "all"})
