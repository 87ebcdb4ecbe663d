"""The images of a job that crash or hang their decoder: each is an error line, and is never touched again.

Convictions belong to the job, not to a process: every attempt, in every process, leaves the same images out with the same
words. They are kept in the job's folder of notes, which all its processes share; an engine on several machines has to keep
them where all of these look.
"""

from __future__ import annotations

import json
import pathlib

from google.rpc import code_pb2, status_pb2

from boxwright import private

FILE = "convicted.json"


class Convictions:
    """The convicted images of one job. One process at a time may add to them.

    Args:
        folder: the job's folder of notes.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._path = folder / FILE

    def read(self) -> dict[str, status_pb2.Status]:
        """The convicted images with the status that each gets."""
        try:
            entries = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return {image_id: status_pb2.Status(code=code, message=text) for image_id, (code, text) in entries.items()}

    def add(self, image_id: str, status: status_pb2.Status) -> None:
        """Remembers, for this and every later attempt, that an image is not to be touched again."""
        entries = {known: (other.code, other.message) for known, other in self.read().items()}
        entries[image_id] = (status.code, status.message)
        private.replace_file(self._path, json.dumps(entries))


def crashed(image_id: str) -> status_pb2.Status:
    """The status of an image that kills the process that decodes it."""
    return status_pb2.Status(
        code=code_pb2.INTERNAL, message=f"{image_id}: decoding this image crashes the decoder; it was left out."
    )


def hung(image_id: str, timeout_s: float) -> status_pb2.Status:
    """The status of an image that takes too long."""
    return status_pb2.Status(
        code=code_pb2.DEADLINE_EXCEEDED,
        message=f"{image_id}: this image took longer than {timeout_s:g} s; it was left out.",
    )
