"""`boxwright.v1.Curation`: the labels of a dataset, listed, made, renamed, merged and deleted."""

import functools
import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names, states
from boxwright.callers import Caller
from boxwright.metadata import annotation_specs, changes, database, datasets, example_counts, examples
from boxwright.operations import ledger
from boxwright.services import training_rules, updates, validation
from boxwright.services.bulk_changes import BulkMethods, settle_states
from boxwright.services.kept_counts import KeptCounts

MAX_LABEL_CHARS = 128  # as in an import
RESERVED = "NEGATIVE_IMAGE"  # says in an import of detection that nothing is in an image
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_HOT_KEY = re.compile(r"[0-9a-z]")


class AnnotationSpecMethods(BulkMethods):
    """The methods about labels; AutoML's own GetAnnotationSpec is not among them."""

    @functools.cached_property
    def _kept(self) -> KeptCounts:
        return KeptCounts()

    def list_annotation_specs(
        self, request: pb.ListAnnotationSpecsRequest, caller: Caller
    ) -> pb.ListAnnotationSpecsResponse:
        """Lists a dataset's labels by display name, with how often each is given."""
        name = self._named(names.DatasetName, request.parent, "parent")
        size = validation.page_size(request.page_size)
        scope = f"annotationSpecs {name}"
        after = database.PageKey.from_token(request.page_token, scope)
        with self._db.read() as connection:
            dataset = self._dataset(connection, name, f"Dataset {name} was not found.")
            rows = annotation_specs.all_of(connection, name.dataset)
            counts = self._kept.get(dataset, "specs", lambda: annotation_specs.counts(connection, name.dataset))
        following = [
            row for row in rows if after is None or row.display_name.encode() > after.id.encode(errors="replace")
        ]
        page = following[:size]
        token = database.PageKey(0, page[-1].display_name).token(scope) if len(following) > size else ""
        return pb.ListAnnotationSpecsResponse(
            annotation_specs=[spec_message(name, row, counts) for row in page],
            next_page_token=token,
            total_size=len(rows),
        )

    def create_annotation_spec(self, request: pb.CreateAnnotationSpecRequest, caller: Caller) -> pb.AnnotationSpec:
        """Adds a label that no image carries yet."""
        name = self._named(names.DatasetName, request.parent, "parent")
        given = request.annotation_spec
        with self._db.write() as connection:
            dataset = self._dataset(connection, name, f"Dataset {name} was not found.")
            most = training_rules.most_labels(kinds.of_member(dataset.metadata_member))
            if most is not None and len(annotation_specs.all_of(connection, name.dataset)) >= most:
                raise errors.failed_precondition(
                    f"{name} has {most} labels, the most that a dataset of its kind may have."
                )
            values = {
                field: read(connection, dataset, getattr(given, field), "") for field, read in _FIELDS.items()
            } | {"id": self._new_digits(), "dataset_id": name.dataset}
            annotation_specs.insert(connection, values)
            example_counts.touch(connection, name.dataset)
        return pb.AnnotationSpec(
            name=str(name.annotation_spec(values["id"])), **{field: values[field] for field in _FIELDS}
        )

    def update_annotation_spec(self, request: pb.UpdateAnnotationSpecRequest, caller: Caller) -> pb.AnnotationSpec:
        """Changes a label's name, colour or hot key; models keep the names that they were trained with."""
        given = request.annotation_spec
        name = self._named(names.AnnotationSpecName, given.name, "annotation_spec.name")
        dataset_name = name.parent.dataset(name.dataset)
        paths = updates.paths(request.update_mask, dict.fromkeys(_FIELDS, lambda: None))
        with self._db.write() as connection:
            dataset = self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
            row = self._spec(connection, name)
            values = {path: _FIELDS[path](connection, dataset, getattr(given, path), row.id) for path in paths}
            if values.get("display_name", row.display_name) != row.display_name:
                self._refuse_import(connection, dataset_name)
            annotation_specs.update(connection, row.id, values)
            example_counts.touch(connection, name.dataset)
            counts = annotation_specs.counts(connection, name.dataset)
            return spec_message(dataset_name, self._spec(connection, name), counts)

    def delete_annotation_spec(
        self, request: pb.DeleteAnnotationSpecRequest, caller: Caller
    ) -> pb.BatchUpdateExamplesResponse:
        """Deletes a label and takes it off every image."""
        name = self._named(names.AnnotationSpecName, request.name, "name")
        return self._without(name, request.expected_count, caller, lambda connection, which: None)

    def merge_annotation_specs(
        self, request: pb.MergeAnnotationSpecsRequest, caller: Caller
    ) -> pb.BatchUpdateExamplesResponse:
        """Makes one label of two; of two labels with the same box one stays."""
        name = self._named(names.AnnotationSpecName, request.name, "name")
        into = self._named(names.AnnotationSpecName, request.into, "into")
        if into == name or name.parent.dataset(name.dataset) != into.parent.dataset(into.dataset):
            raise errors.invalid_argument("into", "Name another label of the same dataset.")

        def replace(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
            self._spec(connection, into)
            annotation_specs.replace(connection, name.annotation_spec, into.annotation_spec)
            changes.drop_repeated(connection, which)

        return self._without(name, request.expected_count, caller, replace)

    def _without(
        self,
        name: names.AnnotationSpecName,
        expected_count: int,
        caller: Caller,
        before: Callable[[sa.Connection, sa.ColumnElement[bool]], None],
    ) -> pb.BatchUpdateExamplesResponse:
        """Deletes a label, after `before` was done with the examples that carry it."""
        dataset_name = name.parent.dataset(name.dataset)
        with self._db.write() as connection:
            dataset = self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
            row = self._spec(connection, name)
            self._refuse_import(connection, dataset_name)
            count = annotation_specs.count(connection, row.id)
            if count != expected_count:
                raise errors.failed_precondition(
                    f"The label '{row.display_name}' is given {count} times, and expected_count is {expected_count}; "
                    "nothing was changed. List the labels again, and repeat the call with that number."
                )

            def apply(which: sa.ColumnElement[bool]) -> None:
                before(connection, which)
                annotation_specs.delete(connection, row.id)
                settle_states(connection, dataset, which)

            which = examples.carries_spec(row.id)
            changed, change = self._change(connection, dataset_name, which, caller, apply)
            if not changed:
                before(connection, which)
                annotation_specs.delete(connection, row.id)
                example_counts.touch(connection, name.dataset)
        self._sweep()
        return pb.BatchUpdateExamplesResponse(updated_count=changed, change=change)

    def _spec(self, connection: sa.Connection, name: names.AnnotationSpecName) -> sa.Row[Any]:
        row = datasets.find_spec(connection, name.dataset, name.annotation_spec)
        if row is None:
            raise errors.not_found(f"AnnotationSpec {name} was not found.")
        return row

    def _refuse_import(self, connection: sa.Connection, name: names.DatasetName) -> None:
        """FAILED_PRECONDITION while an import runs, which would bring a label back that was renamed or deleted."""
        for row in self._ledger.running_on(connection, str(name)):
            if row.kind == states.OperationKind.IMPORT_DATA:
                raise errors.failed_precondition(
                    f"{ledger.name_of(row)} imports into {name}, and may bring labels. Wait for its end, or cancel it."
                )


def spec_message(dataset: names.DatasetName, row: sa.Row[Any], counts: dict[str, tuple[int, int]]) -> pb.AnnotationSpec:
    """The label that a row stores.

    Args:
        counts: as `metadata.annotation_specs.counts` returns them.
    """
    example_count, annotation_count = counts.get(row.id, (0, 0))
    return pb.AnnotationSpec(
        name=str(dataset.annotation_spec(row.id)),
        display_name=row.display_name,
        colour=row.colour,
        hot_key=row.hot_key,
        example_count=example_count,
        annotation_count=annotation_count,
    )


def _display_name(connection: sa.Connection, dataset: sa.Row[Any], text: str, spec_id: str) -> str:
    field = "annotation_spec.display_name"
    if not text or text != text.strip() or len(text) > MAX_LABEL_CHARS or not text.isprintable():
        why = f"A label is printable text of 1 to {MAX_LABEL_CHARS} characters, without blanks around it."
        raise errors.invalid_argument(field, why)
    if text.upper() == RESERVED and kinds.of_member(dataset.metadata_member) is kinds.OBJECT_DETECTION:
        raise errors.invalid_argument(field, f"{RESERVED} means in an import that nothing is in an image.")
    for row in annotation_specs.all_of(connection, dataset.id):
        if row.display_name == text and row.id != spec_id:
            raise errors.already_exists(f"The dataset has a label '{text}' already. To make one of two, merge them.")
    return text


def _colour(connection: sa.Connection, dataset: sa.Row[Any], text: str, spec_id: str) -> str:
    if text and not _COLOUR.fullmatch(text.lower()):
        raise errors.invalid_argument("annotation_spec.colour", f"'{text[:80]}' is no colour like #1a2b3c.")
    return text.lower()


def _hot_key(connection: sa.Connection, dataset: sa.Row[Any], text: str, spec_id: str) -> str:
    field = "annotation_spec.hot_key"
    if text and not _HOT_KEY.fullmatch(text.lower()):
        raise errors.invalid_argument(field, f"'{text[:80]}' is none of 0 to 9 and a to z.")
    for row in annotation_specs.all_of(connection, dataset.id):
        if text and row.hot_key == text.lower() and row.id != spec_id:
            raise errors.invalid_argument(field, f"'{text}' is the key of the label '{row.display_name}' already.")
    return text.lower()


_FIELDS = {"display_name": _display_name, "colour": _colour, "hot_key": _hot_key}  # each reads and checks its own
