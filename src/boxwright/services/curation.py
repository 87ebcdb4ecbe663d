"""`boxwright.v1.Curation`: the images of a dataset, one by one, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names, states
from boxwright.callers import Caller
from boxwright.metadata import database, example_counts, examples
from boxwright.metadata.datasets import Annotation
from boxwright.metadata.messages import timestamp
from boxwright.metadata.schema import examples as examples_table
from boxwright.services import example_labels, filters, messages, updates, validation
from boxwright.services.resources import Resources


class CurationMethods(Resources):
    """The methods about examples."""

    def list_examples(self, request: pb.ListExamplesRequest, caller: Caller) -> pb.ListExamplesResponse:
        """Lists a dataset's examples in the order of their import."""
        name = self._named(names.DatasetName, request.parent, "parent")
        size = validation.page_size(request.page_size)
        if request.skip < 0:
            raise errors.invalid_argument("skip", f"{request.skip} is negative.")
        query = filters.apply(examples.select_of(name.dataset), request.filter, _clauses(name.dataset))
        scope = f"examples {name} {request.filter}"
        after = database.PageKey.from_token(request.page_token, scope)
        with self._db.read() as connection:
            dataset = self._dataset(connection, name, f"Dataset {name} was not found.")
            total = examples.count(connection, query) if request.filter.strip() else dataset.example_count
            after_id = after.create_time_us if after else 0  # the rows' order is that of their ids
            page = examples.page_of(query, after_id=after_id, skip=request.skip, limit=size + 1)
            rows = connection.execute(page).all()
            found = examples.annotations_of(connection, [row.id for row in rows[:size]])
        token = database.PageKey(rows[size - 1].id, "").token(scope) if len(rows) > size else ""
        return pb.ListExamplesResponse(
            examples=[_example(name, row, found[row.id]) for row in rows[:size]],
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
            "state": lambda: _known(pb.Example.State, example.state, "example.state"),
            "ml_use": lambda: _known(pb.Example.MlUse, example.ml_use, "example.ml_use"),
        }
        paths = updates.paths(request.update_mask, checks)
        with self._db.write() as connection:
            dataset, row = self._example(connection, name)
            had = examples.annotations_of(connection, [row.id])[row.id]
            updates.check_etag(example.etag, examples.etag(row, had), name)
            wanted: Sequence[Annotation] = had
            if "annotations" in paths:
                wanted = example_labels.read(connection, dataset, example.annotations)
            values: dict[str, Any] = {path: getattr(example, path).name for path in paths if path != "annotations"}
            values.setdefault("state", row.state)
            example_labels.check_state(values["state"], wanted, messages.classification_type(dataset))
            wanted = example_labels.with_sources(wanted, had, values["state"])
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


def _example(dataset: names.DatasetName, row: sa.Row[Any], found: Sequence[Annotation]) -> pb.Example:
    kind = kinds.of_name(dataset.dataset)
    return pb.Example(
        name=str(dataset.example(row.sha256)),
        uri=row.uri,
        ml_use=row.ml_use,
        state=row.state,
        width_px=row.width_px,
        height_px=row.height_px,
        annotations=[example_labels.payload(one, kind) for one in found],
        etag=examples.etag(row, found),
        author=row.author,
        display_name=row.display_name,
        sources=[getattr(pb.AnnotationSource, one.source) for one in found],
        update_time=timestamp(row.update_time_us) if row.update_time_us else None,
    )


def _known(kind: Any, value: int, field: str) -> None:
    """INVALID_ARGUMENT for a value that an enumeration does not have, or that says nothing."""
    if not value or value not in iter(kind):
        listed = ", ".join(one.name for one in kind if one)
        raise errors.invalid_argument(field, f"Choose one of: {listed}.")


def _clauses(dataset_id: str) -> dict[str, filters.Clause]:
    return {
        "label": lambda term: examples.carries(dataset_id, term.value),
        "state": _one_of(examples_table.c.state, "state", tuple(states.ExampleState)),
        "ml_use": _one_of(examples_table.c.ml_use, "ml_use", tuple(states.MlUse)),
        "uri": lambda term: examples_table.c.uri.contains(term.value or "", autoescape=True),
    }


def _one_of(column: sa.Column[Any], field: str, values: Sequence[str]) -> filters.Clause:
    def clause(term: filters.Term) -> sa.ColumnElement[bool]:
        if term.value not in values:
            raise errors.invalid_argument("filter", f"{field} is one of: {', '.join(values)}.")
        return column == term.value

    return clause
