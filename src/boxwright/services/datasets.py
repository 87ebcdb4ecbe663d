"""The AutoMl methods about datasets, in proto order."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2

from boxwright import errors, kinds, names
from boxwright.access import policies
from boxwright.callers import Caller
from boxwright.metadata import database, datasets
from boxwright.metadata.schema import datasets as datasets_table
from boxwright.services import exclusivity, filters, messages, updates, validation
from boxwright.services.resources import Kind, Resources
from boxwright.services.uploads import UploadFolder


class DatasetMethods(Resources):
    """Datasets and their annotation specs."""

    _uploads: UploadFolder

    def create_dataset(self, request: types.CreateDatasetRequest, caller: Caller) -> operations_pb2.Operation:
        """Creates an empty dataset; the operation is done at once."""
        parent = self._location(request.parent, "parent")
        dataset = request.dataset
        validation.display_name(dataset.display_name, "dataset.display_name")
        validation.description(dataset.description, "dataset.description")
        validation.labels(dataset.labels, "dataset.labels")
        member = types.Dataset.pb(dataset).WhichOneof("dataset_metadata")
        if member is None:
            raise errors.invalid_argument("dataset.image_object_detection_dataset_metadata", "Required field not set.")
        _check_classification_type(dataset)
        dataset_id = kinds.of_member(member).prefix + self._new_digits()
        with self._db.write() as connection:
            now = database.now_us(connection)
            datasets.insert(
                connection,
                {
                    "id": dataset_id,
                    "project": parent.project,
                    "location": parent.location,
                    "display_name": dataset.display_name,
                    "description": dataset.description,
                    "metadata_member": member,
                    "metadata_bytes": getattr(types.Dataset.pb(dataset), member).SerializeToString(),
                    "labels": dict(dataset.labels),
                    "etag": secrets.token_hex(8),
                    "create_time_us": now,
                    "update_time_us": now,
                },
            )
            row = self._dataset(connection, parent.dataset(dataset_id), "")
            response = messages.packed(types.Dataset.pb(messages.dataset(row)))
            name = str(parent.dataset(dataset_id))
            draft = self._draft(caller, parent, Kind.CREATE_DATASET, request, works_on=name)
            operation = self._ledger.start_done(connection, draft, response)
        return messages.operation(operation)

    def get_dataset(self, request: types.GetDatasetRequest, caller: Caller) -> types.Dataset:
        """Returns one dataset."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.read() as connection:
            return messages.dataset(self._dataset(connection, name, f"Dataset {name} was not found."))

    def list_datasets(self, request: types.ListDatasetsRequest, caller: Caller) -> types.ListDatasetsResponse:
        """Lists a location's datasets, newest first."""
        parent = self._location(request.parent, "parent")
        clauses = {
            kind.dataset_member: filters.existence(
                lambda field: datasets_table.c.metadata_member == field, kind.dataset_member
            )
            for kind in kinds.ALL
        }
        query = filters.apply(datasets.select_of(parent.project, parent.location), request.filter, clauses)
        rows, token = self._page(query, datasets_table, request, scope=f"datasets {parent} {request.filter}")
        return types.ListDatasetsResponse(datasets=[messages.dataset(row) for row in rows], next_page_token=token)

    def update_dataset(self, request: types.UpdateDatasetRequest, caller: Caller) -> types.Dataset:
        """Changes the display name, description or labels that the mask names."""
        name = self._named(names.DatasetName, request.dataset.name, "dataset.name")
        dataset = request.dataset
        checks = {
            "display_name": lambda: validation.display_name(dataset.display_name, "dataset.display_name"),
            "description": lambda: validation.description(dataset.description, "dataset.description"),
            "labels": lambda: validation.labels(dataset.labels, "dataset.labels"),
        }
        with self._db.write() as connection:
            row = self._dataset(connection, name, f"Dataset {name} was not found.")
            paths = updates.paths(request.update_mask, checks)
            updates.check_etag(dataset.etag, row.etag, name)
            values = {path: dict(dataset.labels) if path == "labels" else getattr(dataset, path) for path in paths}
            values |= {"etag": secrets.token_hex(8), "update_time_us": database.now_us(connection)}
            datasets.update(connection, name.dataset, values)
            return messages.dataset(self._dataset(connection, name, ""))

    def delete_dataset(self, request: types.DeleteDatasetRequest, caller: Caller) -> operations_pb2.Operation:
        """Deletes a dataset; models trained from it live on. The operation goes on until images are gone that were sent."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.write() as connection:
            self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
            exclusivity.check(self._ledger, connection, name, Kind.DELETE_DATASET)
            folder = self._uploads.address(name)
            has_uploads = folder is not None and datasets.has_images_below(connection, str(folder), name.dataset)
            datasets.delete(connection, name.dataset)
            policies.forget(connection, str(name))
            draft = self._draft(caller, name.parent, Kind.DELETE_DATASET, request, works_on=str(name))
            if not has_uploads:
                return messages.operation(self._ledger.start_done(connection, draft, messages.packed()))
            operation = self._ledger.start(connection, draft)
        return self._announced(operation)

    def import_data(self, request: types.ImportDataRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts an import; the operation has failed already if a look at the stores says that it must."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.read() as connection:
            self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
        uris, field = request.input_config.gcs_source.input_uris, "input_config.gcs_source.input_uris"
        is_unlabelled = validation.is_unlabelled(request.input_config.params)
        folders = validation.image_folders(uris, field, self._policy.schemes) if is_unlabelled else []
        lists = [] if is_unlabelled else validation.import_lists(uris, field, self._policy.schemes)
        validation.is_reviewed(request.input_config.params)
        validation.has_wide_box_limits(request.input_config.params)
        if is_unlabelled:
            found = self._looks.at_image_folders(caller, folders, project=name.project)
        else:
            found = self._looks.at_import_lists(caller, lists, project=name.project)
        with self._db.write() as connection:
            row = self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
            _check_served(row, "Images can be imported only into")
            exclusivity.check(self._ledger, connection, name, Kind.IMPORT_DATA)
            draft = self._draft(caller, name.parent, Kind.IMPORT_DATA, request, works_on=str(name))
            operation = self._ledger.start(connection, draft, found)
        return self._announced(operation)

    def export_data(self, request: types.ExportDataRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts writing the dataset as import CSVs below a prefix, where a look at the stores does not forbid it."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.read() as connection:
            self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
        prefix = validation.output_uri_prefix(
            request.output_config.gcs_destination.output_uri_prefix,
            "output_config.gcs_destination.output_uri_prefix",
            self._policy.schemes,
        )
        found = self._looks.at_destination(caller, prefix, project=name.project)
        with self._db.write() as connection:
            row = self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
            _check_served(row, "Images can be exported only from")
            exclusivity.check(self._ledger, connection, name, Kind.EXPORT_DATA)
            draft = self._draft(caller, name.parent, Kind.EXPORT_DATA, request, works_on=str(name))
            operation = self._ledger.start(connection, draft, found)
        return self._announced(operation)

    def get_annotation_spec(self, request: types.GetAnnotationSpecRequest, caller: Caller) -> types.AnnotationSpec:
        """Returns one label of a dataset and how many examples carry it."""
        name = self._named(names.AnnotationSpecName, request.name, "name")
        dataset_name = name.parent.dataset(name.dataset)
        with self._db.read() as connection:
            self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
            row = datasets.find_spec(connection, name.dataset, name.annotation_spec)
            if row is None:
                raise errors.not_found(f"AnnotationSpec {name} was not found.")
            counts = datasets.examples_per_spec(connection, name.dataset)
        return types.AnnotationSpec(name=str(name), display_name=row.display_name, example_count=counts.get(row.id, 0))


def _check_classification_type(dataset: types.Dataset) -> None:
    """INVALID_ARGUMENT unless a dataset that has a classification type says which."""
    raw = types.Dataset.pb(dataset)
    if raw.WhichOneof("dataset_metadata") != kinds.IMAGE_CLASSIFICATION.dataset_member:
        return
    given = raw.image_classification_dataset_metadata.classification_type
    if given in (types.ClassificationType.MULTICLASS, types.ClassificationType.MULTILABEL):
        return
    why = "Required field not set" if not given else f"{given} is no classification type"
    raise errors.invalid_argument(
        f"dataset.{kinds.IMAGE_CLASSIFICATION.dataset_member}.classification_type",
        f"{why}. Choose MULTICLASS (one label an image) or MULTILABEL (any number of labels).",
    )


def _check_served(row: sa.Row[Any], what: str) -> None:
    """FAILED_PRECONDITION unless a dataset can hold images; `what` begins the sentence."""
    kind = kinds.of_member(row.metadata_member)
    if not kind.is_served:
        listed = " or ".join(one.dataset_member for one in kinds.SERVED)
        raise errors.failed_precondition(f"{what} datasets of kind {listed}; this one is {row.metadata_member}.")
    if kind is kinds.IMAGE_CLASSIFICATION and messages.classification_type(row) is None:
        raise errors.failed_precondition(
            f"{what} datasets that say how many labels an image has; this one was created without a "
            "classification_type. Create a dataset with MULTICLASS or MULTILABEL instead."
        )
