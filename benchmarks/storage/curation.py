"""Time of Curation's statements in a dataset of 100,000 images with 300,000 boxes: pages, filters, summaries, bulk changes.

    python -m benchmarks.storage.curation [--quick] [--images 100000] [--database-url postgresql+pg8000://…]

The service's methods are called in this process, over a database that is filled anew: what is measured is the method,
without HTTP. Each time is the median of five calls, and of one call for what changes the database. Prints a table and ends
with one JSON object.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, cast

import sqlalchemy as sa

from benchmarks.harness import arguments, results
from boxwright import curation_messages as pb
from boxwright.callers import ANONYMOUS, Caller
from boxwright.metadata import database, datasets, example_counts, schema
from boxwright.operations.ledger import Ledger
from boxwright.services.curation import CurationMethods
from boxwright.services.resources import Policy

DATASET = "projects/p/locations/us-central1/datasets/IOD1"
LABELS, BOXES, REPEATS, ROWS = 50, 3, 5, 5000


def fill(db: database.Database, images: int) -> None:
    """A dataset of that many images with three boxes each; label 0 is rare, label 49 is on none of them."""
    with db.write() as connection:
        values = {"id": "IOD1", "project": "p", "location": "us-central1", "display_name": "d", "labels": {}}
        times = {"etag": "e", "create_time_us": 1, "update_time_us": 1, "example_count": images}
        datasets.insert(connection, {**values, **times, "metadata_member": "image_object_detection_dataset_metadata"})
        specs = [
            {"id": f"s{number}", "dataset_id": "IOD1", "display_name": f"label{number}"} for number in range(LABELS)
        ]
        connection.execute(schema.annotation_specs.insert(), specs)
    for start in range(0, images, ROWS):
        numbers = range(start, min(images, start + ROWS))
        examples = [
            {
                "id": number + 1, "dataset_id": "IOD1", "sha256": f"{number:064x}", "uri": f"gs://b/{number}.jpg",
                "ml_use": ("TRAIN", "TEST")[number % 10 == 0], "width_px": 4000, "height_px": 3000,
                "display_name": f"{number * 7919 % images:08d}.jpg",
            }
            for number in numbers
        ]  # fmt: skip
        boxes = [
            {
                "example_id": number + 1, "annotation_spec_id": f"s{_label(number, box)}", "x_min": 0.1, "y_min": 0.1,
                "x_max": 0.1 + (number % 97 + 1) / 200, "y_max": 0.6,
            }
            for number in numbers
            for box in range(BOXES)
        ]  # fmt: skip
        with db.write() as connection:
            connection.execute(schema.examples.insert(), examples)
            connection.execute(schema.annotations.insert(), boxes)
    with db.write() as connection:
        example_counts.recount(connection, sa.true())


def _label(number: int, box: int) -> int:
    if number % 1000 == 0 and box == 0:
        return 0
    return 1 + (number * BOXES + box) % (LABELS - 2)


class _Measured:
    """Times of calls, by what they are."""

    def __init__(self, db: database.Database) -> None:
        nothing = cast(Any, None)
        self._methods = CurationMethods(db, Ledger(db, lease_ttl_s=10), Policy(), nothing, nothing)
        self.ms: dict[str, float] = {}

    def call(self, what: str, rpc: str, request: Any, repeats: int = REPEATS) -> Any:
        """Calls a method, and keeps the median of its times."""
        method: Callable[[Any, Caller], Any] = getattr(self._methods, rpc)
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            answer = method(request, ANONYMOUS)
            times.append(1000 * (time.perf_counter() - began))
        self.ms[what] = round(statistics.median(times), 1)
        print(f"{what:56} {self.ms[what]:10.1f} ms", flush=True)
        return answer


def main() -> None:
    parser = arguments.parser(__doc__, "2,000 images")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database-url", default="")
    chosen = parser.parse_args()
    images = 2000 if chosen.quick else chosen.images
    with tempfile.TemporaryDirectory() as folder:
        db = database.Database(chosen.database_url or pathlib.Path(folder) / "metadata.sqlite")
        fill(db, images)
        measured = _Measured(db)
        pages(measured, images)
        changes(measured, images)
        db.close()
    results.close(
        __file__,
        chosen,
        {"ms": measured.ms},
        source="docs/labels.md",
        conditions=f"{images} images with {BOXES} boxes each; {'PostgreSQL' if chosen.database_url else 'SQLite'}",
        figures=measured.ms,
    )


def pages(measured: _Measured, images: int) -> None:
    """Lists of examples and labels, and the summary."""
    deep = max(0, images - 200)
    asked: dict[str, dict[str, Any]] = {
        "page of 100 images": {},
        "page of 100, deep by skip": {"skip": deep},
        "page of 100 by display_name, deep by skip": {"skip": deep, "order_by": "display_name"},
        "page of 100 by boxes desc, deep by skip": {"skip": deep, "order_by": "boxes desc"},
        "page of 100 by update_time desc": {"order_by": "update_time desc"},
        "filter: a rare label": {"filter": "label=label0"},
        "filter: a label that no image carries": {"filter": f"label=label{LABELS - 1}"},
        "filter: a frequent label, by display_name": {"filter": "label=label7", "order_by": "display_name"},
        "filter: boxes>2 AND ml_use=TEST": {"filter": "boxes>2 AND ml_use=TEST"},
        "filter: min_edge_px<40": {"filter": "min_edge_px<40"},
        "filter: source=MODEL (none)": {"filter": "source=MODEL"},
        "filter: part of a uri": {"filter": 'uri="99.jpg"'},
    }
    for what, options in asked.items():
        measured.call(what, "list_examples", pb.ListExamplesRequest(parent=DATASET, **options))
    measured.call(
        "labels with counts, first time", "list_annotation_specs", pb.ListAnnotationSpecsRequest(parent=DATASET), 1
    )
    measured.call("labels with counts", "list_annotation_specs", pb.ListAnnotationSpecsRequest(parent=DATASET))
    measured.call("summary, first time", "summarize_dataset", pb.SummarizeDatasetRequest(name=DATASET), 1)
    measured.call("summary", "summarize_dataset", pb.SummarizeDatasetRequest(name=DATASET))


def changes(measured: _Measured, images: int) -> None:
    """Changes of many examples, and each taken back."""
    everything: dict[str, Any] = {"parent": DATASET, "filter": "*", "expected_count": images}
    names = [f"{DATASET}/examples/{number:064x}" for number in range(1000)]
    for what, rpc, request in (
        ("set of 1,000 named images", "batch_update_examples",
         pb.BatchUpdateExamplesRequest(parent=DATASET, names=names, ml_use="VALIDATION")),
        ("set of all images", "batch_update_examples", pb.BatchUpdateExamplesRequest(**everything, ml_use="VALIDATION")),
        ("labels of all images taken off", "batch_update_examples",
         pb.BatchUpdateExamplesRequest(**everything, state="UNLABELED")),
        ("one label into another", "merge_annotation_specs", _merge(measured)),
        ("all images deleted", "batch_delete_examples", pb.BatchDeleteExamplesRequest(**everything)),
    ):  # fmt: skip
        answer = measured.call(what, rpc, request, 1)
        measured.call(f"… and back ({what})", "revert_change", pb.RevertChangeRequest(name=answer.change), 1)


def _merge(measured: _Measured) -> pb.MergeAnnotationSpecsRequest:
    listed = measured.call("labels of one page", "list_annotation_specs", pb.ListAnnotationSpecsRequest(parent=DATASET))
    counts = {one.name.rpartition("/")[2]: one.annotation_count for one in listed.annotation_specs}
    spec = f"{DATASET}/annotationSpecs/"
    return pb.MergeAnnotationSpecsRequest(name=f"{spec}s7", into=f"{spec}s8", expected_count=counts["s7"])


if __name__ == "__main__":
    main()
