"""The methods about objects of buckets: what lies in a folder, and files of an operation's own output folder."""

from __future__ import annotations

from google.api import httpbody_pb2

from boxwright import curation_messages as pb
from boxwright import errors, names, objects, states
from boxwright.callers import Caller
from boxwright.metadata.database import PageKey
from boxwright.metadata.messages import timestamp
from boxwright.services import validation
from boxwright.services.resources import Resources

MOST_DOWNLOAD_BYTES = 32 << 20
TEXT, JSON, OCTETS = "text/plain; charset=utf-8", "application/json", "application/octet-stream"
_TYPES = {"json": JSON, "jsonl": TEXT, "csv": TEXT, "txt": TEXT}  # a page is never one: it would run in our origin
_WITH_OUTPUT = (states.OperationKind.BATCH_PREDICT, states.OperationKind.EXPORT_DATA, states.OperationKind.EXPORT_MODEL)


class ObjectMethods(Resources):
    """The methods about objects."""

    def list_objects(self, request: pb.ListObjectsRequest, caller: Caller) -> pb.ListObjectsResponse:
        """Lists what lies directly in a folder, as far as the caller may read; without a prefix, where that may begin."""
        parent = self._location(request.parent, "parent")
        size = validation.page_size(request.page_size)
        after = PageKey.from_token(request.page_token, f"objects {parent} {request.prefix}")
        last = "" if after is None else after.id
        if not request.prefix:
            stores = self._looks.check(caller, project=parent.project)
            found = [uri for uri in stores.readable_folders() if str(uri) > last][: size + 1]
            listed = [pb.ObjectEntry(uri=str(uri), is_folder=True) for uri in found[:size]]
            marks = list(map(str, found))
        else:
            folder = objects.caller_uri(request.prefix, self._policy.schemes, directory=True).folder
            stores = self._looks.check(caller, [folder], project=parent.project)
            entries = stores.entries(folder, last, size + 1)
            listed = [
                pb.ObjectEntry(
                    uri=_encodable(f"{folder}{entry.name}"),
                    size_bytes=entry.size_bytes,
                    update_time=timestamp(entry.update_time_us) if entry.update_time_us else None,
                    is_folder=entry.is_folder,
                )
                for entry in entries[:size]
            ]
            marks = [entry.name for entry in entries]
        token = PageKey(0, marks[size - 1]).token(f"objects {parent} {request.prefix}") if len(marks) > size else ""
        return pb.ListObjectsResponse(objects=listed, next_page_token=token)

    def download_object(self, request: pb.DownloadObjectRequest, caller: Caller) -> httpbody_pb2.HttpBody:
        """Returns a file of an operation's output folder as it is, for keeping and not for showing."""
        name = self._named(names.OperationName, request.name, "name")
        row = self._ledger.find(name)
        if row is None:
            raise errors.not_found(f"Operation {name} was not found.")
        if row.kind not in _WITH_OUTPUT or not row.output_directory:
            raise errors.failed_precondition(f"Operation {name} has no output folder.")
        folder = objects.ObjectUri.parse(row.output_directory)
        try:
            uri = objects.ObjectUri.parse(f"{str(folder).rstrip('/')}/{request.path}")
        except objects.BadUri as error:
            raise errors.invalid_argument(
                "path", f"'{request.path[:200]}' is no path of a file in {folder}."
            ) from error
        if not uri.names_object:
            raise errors.invalid_argument("path", f"'{request.path[:200]}' is a folder; name a file in it.")
        stores = self._looks.check(caller, [uri], project=name.project)
        size_bytes = stores.version(uri).size_bytes
        if size_bytes > MOST_DOWNLOAD_BYTES:
            raise errors.failed_precondition(
                f"{uri} has {size_bytes} bytes; at most {MOST_DOWNLOAD_BYTES} are sent. Read it in its bucket."
            )
        suffix = uri.key.rpartition("/")[2].rpartition(".")[2].lower()
        data = stores.get(uri, max_bytes=MOST_DOWNLOAD_BYTES)
        return httpbody_pb2.HttpBody(content_type=_TYPES.get(suffix, OCTETS), data=data)


def _encodable(text: str) -> str:
    """The text with what UTF-8 cannot write replaced: names of files may have it."""
    return text.encode("utf-8", "replace").decode()
