"""Compiled networks, kept in the model's folder: loading one takes a third of the time of compiling.

    Compiled(folder, network digest, machine, options).read() -> bytes | None      None: not there, or damaged
    Compiled(…).write(bytes)                                                       at once or not at all

They go with the model, so nothing else has to be bounded or tidied. What a file was compiled for is in its name; its own
digest stands at its beginning, so that what a crash or a disk has spoilt is compiled again. A folder that cannot be written
to is no trouble.
"""

from __future__ import annotations

import hashlib
import logging
import pathlib

from boxwright import private

FOLDER = ".compiled"
DIGEST_BYTES = hashlib.sha256().digest_size
MAX_FILES = 8  # of one model: precisions, stream counts; more are left over from other versions and machines

log = logging.getLogger(__name__)


class Compiled:
    """One compiled network.

    Args:
        model_folder: the model's folder.
        made_for: everything that the compiled form depends on: network, runtime, processor, options.
    """

    def __init__(self, model_folder: pathlib.Path, *made_for: str) -> None:
        self._folder = model_folder / FOLDER
        self._path = self._folder / hashlib.sha256("\n".join(made_for).encode()).hexdigest()[:32]

    def read(self) -> bytes | None:
        """Returns the compiled network, None if it is not there as it was written."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        digest, data = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(data).digest() == digest:
            return data
        log.warning("event=compiled_network_damaged path=%s", self._path)
        return None

    def write(self, data: bytes) -> None:
        """Keeps a compiled network; the oldest ones make room."""
        try:
            private.make_folder(self._folder)
            private.replace_file(self._path, hashlib.sha256(data).digest() + data)
            kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in kept[MAX_FILES:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.info("event=compiled_network_not_kept path=%s reason=%s", self._path, error)
