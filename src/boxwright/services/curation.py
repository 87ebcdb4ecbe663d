"""`boxwright.v1.Curation`: the images of a dataset, one by one, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names
from boxwright.callers import Caller
from boxwright.metadata import database, example_counts, examples
from boxwright.metadata.datasets import Annotation
from boxwright.metadata.messages import timestamp
from boxwright.services import example_labels, example_lists, messages, updates
from boxwright.services.dataset_summaries import SummaryMethods


class CurationMethods(SummaryMethods):
    """The methods about examples."""

    def list_examples(self, request: pb.ListExamplesRequest, caller: Caller) -> pb.ListExamplesResponse:
        """Lists a dataset's examples, by default in the order of their import."""
        name = self._named(names.DatasetName, request.parent, "parent")
        page = example_lists.ExampleSelection(request, name.dataset)
        with self._db.read() as connection:
            dataset = self._dataset(connection, name, f"Dataset {name} was not found.")
            total = examples.count(connection, page.query) if request.filter.strip() else dataset.example_count
            rows, token = page.rows(connection)
            found = examples.annotations_of(connection, [row.id for row in rows])
        is_basic = request.view == request.View.BASIC
        return pb.ListExamplesResponse(
            examples=[_example(name, row, found[row.id], is_basic=is_basic) for row in rows],
            next_page_token=token,
            total_size=total,
        )

    def get_example(self, request: pb.GetExampleRequest, caller: Caller) -> pb.Example:
        """Returns one example."""
        name = self._named(names.ExampleName, request.name, "name")
        with self._db.read() as connection:
            _, row = self._example(connection, name)
            return _answer(connection, name, row)

    def update_example(self, request: pb.UpdateExampleRequest, caller: Caller) -> pb.Example:
        """Changes an example's labels, state or set; ABORTED if it is not as the etag says."""
        example = request.example
        name = self._named(names.ExampleName, example.name, "example.name")
        checks = {
            "annotations": lambda: None,  # against the dataset's labels, below
            "sources": lambda: None,
            "state": lambda: _known(pb.Example.State, example.state, "example.state"),
            "ml_use": lambda: _known(pb.Example.MlUse, example.ml_use, "example.ml_use"),
        }
        paths = updates.paths(request.update_mask, checks)
        if "sources" in paths and "annotations" not in paths:
            raise errors.invalid_argument("update_mask", "sources goes with annotations: name both.")
        with self._db.write() as connection:
            dataset, row = self._example(connection, name)
            had = examples.annotations_of(connection, [row.id])[row.id]
            updates.check_etag(example.etag, examples.etag(row, had), name)
            given = example_labels.kept(had)
            if "annotations" in paths:
                size_hw = (row.height_px, row.width_px)
                sources = example.sources if "sources" in paths else None
                given = example_labels.read(connection, dataset, example.annotations, sources, size_hw)
            values: dict[str, Any] = {
                path: getattr(example, path).name for path in paths if path in ("state", "ml_use")
            }
            values.setdefault("state", row.state)
            wanted = example_labels.with_sources(given, had, values["state"])
            example_labels.check_state(values["state"], wanted, messages.classification_type(dataset))
            if wanted != had:
                examples.replace_annotations(connection, row.id, wanted)
            values |= {"author": caller.member, "update_time_us": database.now_us(connection)}
            examples.update(connection, row.id, values)
            example_counts.touch(connection, name.dataset)
            return _answer(connection, name, self._example(connection, name)[1])

    def _example(self, connection: sa.Connection, name: names.ExampleName) -> tuple[sa.Row[Any], sa.Row[Any]]:
        """The rows of the example's dataset and of the example.

        Raises:
            ApiError: NOT_FOUND.
        """
        dataset_name = name.parent.dataset(name.dataset)
        dataset = self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
        row = examples.find(connection, name.dataset, name.example)
        if row is None:
            raise errors.not_found(f"Example {name} was not found.")
        return dataset, row


def _answer(connection: sa.Connection, name: names.ExampleName, row: sa.Row[Any]) -> pb.Example:
    found = examples.annotations_of(connection, [row.id])[row.id]
    return _example(name.parent.dataset(name.dataset), row, found)


def _example(
    dataset: names.DatasetName, row: sa.Row[Any], found: Sequence[Annotation], *, is_basic: bool = False
) -> pb.Example:
    said = () if is_basic else found
    kind = kinds.of_name(dataset.dataset)
    example = pb.Example.pb(
        pb.Example(
            name=str(dataset.example(row.sha256)),
            uri=row.uri,
            ml_use=row.ml_use,
            state=row.state,
            width_px=row.width_px,
            height_px=row.height_px,
            etag=examples.etag(row, found),
            author=row.author,
            display_name=row.display_name,
            update_time=timestamp(row.update_time_us) if row.update_time_us else None,
        )
    )
    for one in said:
        example_labels.fill(example.annotations.add(), one, kind)
    example.sources.extend(getattr(pb.AnnotationSource, one.source) for one in said)
    return pb.Example.wrap(example)


def _known(kind: Any, value: int, field: str) -> None:
    """INVALID_ARGUMENT for a value that an enumeration does not have, or that says nothing."""
    if not value or value not in iter(kind):
        listed = ", ".join(one.name for one in kind if one)
        raise errors.invalid_argument(field, f"Choose one of: {listed}.")
