"""Images that are sent to a dataset, not named in a bucket: decoded first, kept in a folder of the service, unlabelled."""

from __future__ import annotations

import hashlib
import pathlib
import re
from collections.abc import Callable
from typing import Any

from google.rpc import code_pb2

from boxwright import curation_messages as pb
from boxwright import errors, faults, names, objects, states
from boxwright.callers import Caller
from boxwright.images import decode
from boxwright.metadata import datasets, examples
from boxwright.pictures.builder import PictureBuilder
from boxwright.services.curation import CurationMethods

MAX_LOOKED_UP = 1000
NO_FOLDER = (
    "This service has no folder for images that are sent to it. Its operator can set one: uploads_uri "
    "(BOXWRIGHT_UPLOADS_URI). Images in buckets can be imported."
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadFolder:
    """Where images are kept that were sent: a folder for each dataset, a file for each content.

    Args:
        stores: all that the service reaches.
        uri: of the folder; None: there is none.
        bucket: the bucket's folder of this machine, which is made when it is needed; None: it is there.
    """

    def __init__(self, stores: objects.Stores, uri: objects.ObjectUri | None, bucket: pathlib.Path | None) -> None:
        self._stores = stores
        self._uri = uri
        self._bucket = bucket

    def address(self, dataset: names.DatasetName) -> objects.ObjectUri | None:
        """The folder of a dataset; None if no images can be sent."""
        return None if self._uri is None else self._uri.child(f"{dataset.dataset}/")

    def delete(self, dataset: names.DatasetName, raise_if_stopped: Callable[[], None]) -> None:
        """Deletes all that was sent to a dataset; raises as `Stores.delete_below`, and what `raise_if_stopped` does."""
        folder = self.address(dataset)
        if folder is not None and (self._bucket is None or self._bucket.exists()):
            self._stores.of_project(dataset.project).stoppable(raise_if_stopped).delete_below(folder)

    def drop(self, dataset: names.DatasetName, uri: objects.ObjectUri) -> None:
        """Deletes an image that no row will name: its dataset is gone."""
        self._stores.of_project(dataset.project).delete_written(uri)

    def keep(self, dataset: names.DatasetName, file_name: str, data: bytes) -> objects.ObjectUri:
        """Writes an image whole or not at all; one that is there stays. Returns its address.

        Raises:
            ApiError: FAILED_PRECONDITION: there is no folder; as `Stores.put`.
        """
        if self._uri is None:
            raise errors.failed_precondition(NO_FOLDER)
        if self._bucket is not None and not self._bucket.exists():
            self._bucket.mkdir(parents=True, exist_ok=True)
        stores = self._stores.of_project(dataset.project)
        uri = self._uri.child(f"{dataset.dataset}/{file_name}")
        if not stores.put_once(uri, data) and stores.get(uri, max_bytes=decode.MAX_IMAGE_BYTES) != data:
            stores.put(uri, data)  # what a power cut has left
        faults.point("upload.after_put")
        return uri


class UploadMethods(CurationMethods):
    """The methods about images that are sent."""

    _decoding: PictureBuilder
    _uploads: UploadFolder

    def upload_example(self, request: pb.UploadExampleRequest, caller: Caller) -> pb.Example:
        """Adds an image to a dataset, UNLABELED; the same content gives the example that is there.

        The image is decoded first. Its file is written before its row: what was cut off between them is made good by
        sending the image again. No grant of the bucket is needed: the folder is the service's.
        """
        name = self._named(names.DatasetName, request.parent, "parent")
        if request.ml_use not in iter(pb.Example.MlUse):
            raise errors.invalid_argument("ml_use", f"{int(request.ml_use)} is not known.")
        data = request.image.data
        digest = hashlib.sha256(data).hexdigest()
        with self._db.read() as connection:
            self._dataset(connection, name, f"Dataset {name} was not found.")
            is_there = examples.find(connection, name.dataset, digest) is not None
        if not is_there:
            self._add(name, request, data, digest)
        return self.get_example(pb.GetExampleRequest(name=str(name.example(digest))), caller)

    def lookup_examples(self, request: pb.LookupExamplesRequest, caller: Caller) -> pb.LookupExamplesResponse:
        """Says which contents a dataset has."""
        name = self._named(names.DatasetName, request.parent, "parent")
        asked = list(dict.fromkeys(request.sha256))
        if len(asked) > MAX_LOOKED_UP:
            raise errors.invalid_argument(
                "sha256", f"There are {len(asked)}; {MAX_LOOKED_UP} can be looked up at most."
            )
        for digest in asked:
            if not _SHA256.fullmatch(digest):
                raise errors.invalid_argument("sha256", f"'{digest[:80]}' is no SHA-256 in lower-case hexadecimal.")
        with self._db.read() as connection:
            self._dataset(connection, name, f"Dataset {name} was not found.")
            there = examples.present(connection, name.dataset, asked)
        return pb.LookupExamplesResponse(sha256=[digest for digest in asked if digest in there])

    def _add(self, name: names.DatasetName, request: pb.UploadExampleRequest, data: bytes, digest: str) -> None:
        try:
            found = self._decoding.look(data)
        except decode.DecodeError as error:
            raise errors.bad_request(error.reason) from error
        uri = self._uploads.keep(name, digest + found.suffix, data)
        ml_use = request.ml_use or pb.Example.MlUse.UNASSIGNED
        image: dict[str, Any] = {
            "sha256": digest,
            "uri": str(uri),
            "ml_use": pb.Example.MlUse(ml_use).name,
            "width_px": found.width_px,
            "height_px": found.height_px,
            "state": states.ExampleState.UNLABELED.value,
            "display_name": _CONTROLS.sub(" ", request.display_name).strip(),
            "annotations": [],
        }
        try:
            with self._db.write() as connection:
                self._dataset(connection, name, f"Dataset {name} was not found.")
                datasets.merge(connection, name.dataset, [image], self._new_digits)
        except errors.ApiError as error:
            if error.code == code_pb2.NOT_FOUND:  # it has been deleted meanwhile
                self._uploads.drop(name, uri)
            raise
