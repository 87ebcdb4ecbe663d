"""A hundred thousand rows are imported in memory that does not grow with them."""

from __future__ import annotations

import psutil
import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images

ROWS_PER_IMAGE = 250
GROWTH_BYTES = 100 << 20  # a hundred thousand rows as Python objects would take several times this


def _import_and_peak(service, image_names: list[str]) -> int:
    """Imports so many rows of each image; returns the largest resident memory seen on the way."""
    bucket = service.bucket("large")
    with (bucket / "import.csv").open("w") as rows:
        for name in image_names:
            for number in range(ROWS_PER_IMAGE):
                edge = 0.5 + number / 1000
                rows.write(f"TRAIN,gs://large/images/{name},label{number % 9},0.1,0.1,,,{edge},{edge},,\n")
    process, peak_bytes = psutil.Process(service.process.pid), 0
    with open_api(service) as api:
        dataset = api.create_dataset()
        name = api.start_import(dataset, "gs://large/import.csv")
        while True:
            peak_bytes = max(peak_bytes, process.memory_info().rss)
            operation = api.get(name)
            if operation.done:
                break
        assert not operation.HasField("error"), operation.error
        assert api.automl.get_dataset(name=dataset).example_count == len(image_names)
    return peak_bytes


@pytest.mark.full
@pytest.mark.slow
def test_a_hundred_thousand_rows_need_little_more_memory_than_five_thousand(service_factory):
    service = service_factory(environment={"BOXWRIGHT_HOLD_S": "0.2"})
    names = drawn_images.write_images(service.bucket("large") / "images", 400)
    few = _import_and_peak(service, names[:20])
    many = _import_and_peak(service, names)
    assert many - few < GROWTH_BYTES
