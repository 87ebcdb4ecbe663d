"""The work of exportData and exportModel: write files below a prefix, in a folder named by the operation's create time."""

from __future__ import annotations

import csv
import io
import itertools

from google.cloud.automl_v1 import types
from google.protobuf import empty_pb2

from boxwright import errors, kinds, names, objects, states
from boxwright.batch.job import stamp
from boxwright.inference import export_formats
from boxwright.inference.model_folder import ModelError
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database, datasets, models
from boxwright.operations.runner import Context, Runner, Success
from boxwright.runners import data_forms, output_folders

ROWS_PER_FILE = 100_000  # about 10 MB: far below the 100 MB that an import CSV may have


class ExportData(Runner):
    """Writes a dataset as import CSVs: original paths, the sets as imported; an import of them makes the same dataset.

    Images whose labels are only proposed are left out, as are unlabelled ones where a row cannot say that they are.
    """

    def __init__(self, db: database.Database, stores: objects.Stores) -> None:
        self._db = db
        self._stores = stores

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`."""
        message = types.ExportDataRequest.deserialize(request)
        name = names.DatasetName.parse(message.name)
        prefix = objects.ObjectUri.parse(message.output_config.gcs_destination.output_uri_prefix)
        stores = context.limited(self._stores, prefix).stoppable(context.raise_if_stopped)
        stores.check_request(output=prefix)
        stores.check_destination(prefix)
        with self._db.read() as connection:
            row = datasets.find(connection, name.project, name.location, name.dataset)
            if row is None:
                raise errors.not_found(errors.DATASET_UNKNOWN_TO_IMPORT)
            directory = context.keep_output_directory(
                str(prefix.child(f"export_data-{row.display_name}-{stamp(context.create_time_us)}"))
            )
            kind = kinds.of_member(row.metadata_member)
            form = data_forms.of(kind)
            known = (example for example in datasets.examples_of(connection, name.dataset) if _is_said(example, form))
            rows = itertools.chain.from_iterable(map(form.cells, known))
            done = 0
            for number in itertools.count(1):
                batch = list(itertools.islice(rows, ROWS_PER_FILE))
                if not batch and number > 1:
                    break
                uri = objects.ObjectUri.parse(directory).child(f"{kind.name}_{number}.csv")
                stores.put(uri, _csv(batch))
                done += len(batch)
                context.raise_if_stopped()
                if len(batch) < ROWS_PER_FILE:
                    break
        return Success(respond=lambda connection: empty_pb2.Empty())

    def made_output(self, context: Context) -> bool:
        """See `operations.runner.Runner`."""
        return output_folders.holds_anything(self._stores.of_project(context.name.project), context.output_directory)


class ExportModel(Runner):
    """Writes a model in an exchange format.

    The folder is ``model-export/iod/<format>-<display name>-<time>`` below the prefix, as the real service's was; for a
    classifier ``icn`` instead of ``iod``.
    """

    def __init__(self, db: database.Database, stores: objects.Stores, folders: ModelFolders) -> None:
        self._db = db
        self._stores = stores
        self._folders = folders

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`."""
        message = types.ExportModelRequest.deserialize(request)
        name = names.ModelName.parse(message.name)
        model_format = message.output_config.model_format
        prefix = objects.ObjectUri.parse(message.output_config.gcs_destination.output_uri_prefix)
        stores = context.limited(self._stores, prefix).stoppable(context.raise_if_stopped)
        stores.check_request(output=prefix)
        stores.check_destination(prefix)
        with self._db.read() as connection:
            row = models.find(connection, name.project, name.location, name.model)
        if row is None:
            raise errors.not_found(errors.MODEL_UNKNOWN)
        leaf = f"{model_format}-{row.display_name}-{stamp(context.create_time_us)}"
        prefix_of_kind = kinds.of_member(row.metadata_member).prefix.lower()
        directory = context.keep_output_directory(str(prefix.child(f"model-export/{prefix_of_kind}/{leaf}")))
        try:
            model_folder = self._folders.enduring(context.should_stop).local(row.folder)
            for file_name, content in export_formats.files(model_folder, model_format):
                context.raise_if_stopped()
                stores.put(objects.ObjectUri.parse(directory).child(file_name), content)
        except ModelError as error:
            raise errors.failed_precondition(f"The model {name} cannot be exported: {error}") from error
        return Success(respond=lambda connection: empty_pb2.Empty())

    def made_output(self, context: Context) -> bool:
        """See `operations.runner.Runner`."""
        return output_folders.holds_anything(self._stores.of_project(context.name.project), context.output_directory)


def _is_said(example: datasets.Example, form: data_forms.DataForm) -> bool:
    """Whether the CSV can say of an example what is known of it."""
    # an import of a proposal would confirm what nobody has seen; a row without labels says what its kind says by it
    return example.state in (states.ExampleState.LABELED, form.bare_state)


def _csv(rows: list[list[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
