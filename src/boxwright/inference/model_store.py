"""Trained models as folders: on this machine, and in the state's bucket where there is one.

With a bucket, the folder on this machine is a copy: a process that needs a model which is not there fetches it,
whole or not at all. A model in the bucket is complete when it has its model.json, which is put last.
"""

from __future__ import annotations

import copy
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

from boxwright import errors, objects, private
from boxwright.inference.model_folder import MODEL_FILE, ModelError

FETCHING = ".fetching-"  # in the names of folders that are not complete yet


class ModelFolders:
    """The models of this installation.

    Args:
        models_dir: this machine's folder of models.
        stores: where the service's own state is.
    """

    def __init__(self, models_dir: pathlib.Path, stores: objects.Stores) -> None:
        self._models_dir = models_dir
        self._stores = stores
        self._sizes_bytes: dict[str, int] = {}  # a model's folder never changes

    def enduring(self, should_stop: Callable[[], bool] = bool) -> ModelFolders:
        """Returns these folders for work that goes on; see `Stores.enduring`."""
        folders = copy.copy(self)
        folders._stores = self._stores.enduring(should_stop)
        return folders

    def size_bytes(self, folder: str) -> int:
        """How many bytes a model takes; 0 for one that is nowhere, or in a bucket that cannot be read now."""
        if folder not in self._sizes_bytes:
            path = self._models_dir / folder
            if path.is_dir():
                found = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            else:
                found = self._size_there_bytes(folder)
            if not found:
                return 0
            self._sizes_bytes[folder] = found
        return self._sizes_bytes[folder]

    def _size_there_bytes(self, folder: str) -> int:
        if not self._stores.keeps_state_remotely:
            return 0
        try:
            return sum(info.size_bytes for info in self._stores.list(self._remote(folder)))
        except errors.ApiError:
            return 0

    def local(self, folder: str) -> pathlib.Path:
        """Returns a model's folder on this machine, fetching it first if it is only in the state's bucket.

        Raises:
            ModelError: the model is nowhere.
            ApiError: the bucket cannot be read.
        """
        path = self._models_dir / folder
        if path.is_dir() or not self._stores.keeps_state_remotely:
            return path
        files = {info.uri.key.rpartition("/")[2]: info.uri for info in self._stores.list(self._remote(folder))}
        if MODEL_FILE not in files:
            raise ModelError(f"there is no complete model in {self._remote(folder)}.")
        part = pathlib.Path(tempfile.mkdtemp(prefix=f"{folder}{FETCHING}", dir=self._models_dir))
        try:
            for name, uri in files.items():
                with private.open_file(part / name, "wb") as file:
                    file.write(self._stores.get(uri))
            try:
                part.rename(path)
            except OSError:
                if not path.is_dir():  # otherwise somebody else was faster, with the same bytes
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return path

    def publish(self, draft: pathlib.Path, folder: str) -> pathlib.Path:
        """Takes a finished model in: the bucket first, then this machine. May be done again after a crash.

        Args:
            draft: a complete folder, which is moved; it may be gone if this was done before.
            folder: the model's name.
        """
        path = self._models_dir / folder
        if not path.exists():
            if self._stores.keeps_state_remotely:
                files = (file for file in draft.iterdir() if file.is_file())
                for file in sorted(files, key=lambda file: (file.name == MODEL_FILE, file.name)):
                    self._stores.put(self._remote(folder).child(file.name), file.read_bytes())
            os.replace(draft, path)
        return path

    def delete_here(self, folder: str) -> None:
        """Removes a model from this machine."""
        shutil.rmtree(self._models_dir / folder, ignore_errors=True)

    def delete_there(self, folder: str) -> None:
        """Removes a model from the state's bucket, if there is one; ApiError if the bucket cannot be reached."""
        if self._stores.keeps_state_remotely:
            self._stores.delete_prefix(self._remote(folder))

    def _remote(self, folder: str) -> objects.ObjectUri:
        return self._stores.state(f"models/{folder}")
