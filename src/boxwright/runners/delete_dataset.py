"""The work of deleteDataset, whose rows are gone by then: delete the images that were sent to it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from google.cloud.automl_v1 import types
from google.protobuf import empty_pb2

from boxwright import errors, faults, names, objects
from boxwright.metadata import database, datasets
from boxwright.operations.runner import AttemptError, Context, Runner, Success

log = logging.getLogger(__name__)


class SentImages(Protocol):
    """Where images are that were sent: an `UploadFolder`."""

    def address(self, dataset: names.DatasetName) -> objects.ObjectUri | None:
        """See `UploadFolder.address`."""

    def delete(self, dataset: names.DatasetName, raise_if_stopped: Callable[[], None]) -> None:
        """See `UploadFolder.delete`."""


class DeleteDataset(Runner):
    """Deletes what was sent to a dataset. A killed attempt has deleted a part; the next one goes on with what is left.

    Images that another dataset has imported from there are its images now: then all of them stay.

    Args:
        db: says whether another dataset has.
        sent: where the images are.
    """

    def __init__(self, db: database.Database, sent: SentImages) -> None:
        self._db = db
        self._sent = sent

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`; a cancel changes nothing: the dataset is gone."""
        name = names.DatasetName.parse(types.DeleteDatasetRequest.deserialize(request).name)

        def raise_if_leaving() -> None:
            if context.must_leave():
                context.raise_if_stopped()

        with self._db.read() as connection:
            is_used = datasets.has_images_below(connection, str(self._sent.address(name)))
        if is_used:
            log.info("event=sent_images_kept dataset=%s reason='another dataset has some of them'", name)
        else:
            faults.point("dataset.before_delete")
            self._delete(name, raise_if_leaving)
        return Success(respond=lambda connection: empty_pb2.Empty())

    def close_cancelled(self, request: bytes, context: Context) -> Success | None:
        """See `operations.runner.Runner`."""
        return self.run(request, context)

    def _delete(self, name: names.DatasetName, raise_if_leaving: Callable[[], None]) -> None:
        try:
            with contextlib.suppress(objects.ObjectNotFound):  # the bucket is gone too
                self._sent.delete(name, raise_if_leaving)
        except errors.ApiError as error:
            if errors.is_lasting(error):
                raise
            raise AttemptError(error.message) from error
