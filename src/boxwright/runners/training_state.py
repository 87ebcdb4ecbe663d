"""A training's progress in the state's bucket, so that another machine can go on with it.

The folder of a training on this machine has what was asked for, the examples and the checkpoints. Its copy in the bucket is
a list of files for each attempt, put last, and the files in parts that are named by their bytes:

    operations/OPERATION/training/attempt-EPOCH.json   {"files": {path: {"size_bytes", "parts": [sha256, …]}}}
    operations/OPERATION/training/parts/SHA256

A list is there whole or not at all, and so is everything that it names: a copy is of one moment, as far as each file is
concerned. An attempt that has lost its lease writes a list of its own, which nobody reads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

from google.rpc import code_pb2

from boxwright import errors, objects, private
from boxwright.operations.runner import AttemptError

PART_BYTES = 8 << 20
KEPT_FILES = ("choices.json", "examples.jsonl", "checkpoint.pt", "attempts.txt")  # by their names, in sub-folders too
MARK_FILE = "attempt.txt"  # in the folder on this machine: the epoch of the newest attempt that has worked there
MODEL_FOLDER = "model"  # beside them, once a training is done; it has deleted its checkpoints then
LAST_S = 5.0  # for the newest checkpoint, when the process shall end
READS = 3  # the copy may be replaced by the attempt before, while it is read

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Snapshot:
    """A copy's list: for each path its size in bytes and the digests of its parts."""

    files: dict[str, tuple[int, list[str]]]

    @property
    def parts(self) -> set[str]:
        return {digest for _, digests in self.files.values() for digest in digests}

    def to_json(self) -> bytes:
        files = {path: {"size_bytes": size, "parts": digests} for path, (size, digests) in self.files.items()}
        return json.dumps({"files": files}, sort_keys=True).encode()

    @classmethod
    def of_json(cls, text: bytes) -> _Snapshot:
        files: dict[str, Any] = json.loads(text)["files"]
        return cls({path: (int(one["size_bytes"]), list(one["parts"])) for path, one in files.items()})


class TrainingState:
    """The copy of one training's folder, as one attempt sees it. Does nothing where the state is on this machine.

    Args:
        stores: where the service's own state is.
        operation: the training's id.
        folder: on this machine.
        epoch: of this attempt; later attempts have higher ones.
        every_s: seconds between two looks for a newer checkpoint.
        should_stop: whether the attempt is to end; see `Stores.enduring`.
    """

    def __init__(
        self,
        stores: objects.Stores,
        operation: str,
        folder: pathlib.Path,
        epoch: int,
        every_s: float,
        should_stop: Callable[[], bool] = bool,
    ) -> None:
        self._reading = stores.enduring(should_stop)  # an attempt waits for its beginning, not for each checkpoint
        self._stores = stores
        self._every_s = every_s
        self._place = stores.state(f"operations/{operation}/training")
        self._folder = folder
        self._epoch = epoch
        self._known: tuple[int, _Snapshot] | None = None  # the newest copy, and the epoch of its attempt
        self._seen: dict[str, tuple[int, int]] = {}  # when each file was changed last, and its size
        self._ended = threading.Event()
        self._has_last = False  # whether the folder is to be looked at once more at the end

    @property
    def is_kept(self) -> bool:
        """Whether there is a copy at all."""
        return self._stores.keeps_state_remotely

    def fetch(self) -> None:
        """Brings the folder to what the newest attempt has left, on whatever machine that was.

        Raises:
            AttemptError: the copy cannot be read now, and the folder is not the newest.
        """
        if not self.is_kept:
            return
        try:
            self._fetch()
        except objects.WaitEndedError:
            raise
        except errors.ApiError as error:
            raise AttemptError(f"the progress of the training cannot be read: {error.message}") from error
        private.make_folder(self._folder)
        private.replace_file(self._folder / MARK_FILE, str(self._epoch), is_durable=True)

    def exists(self) -> bool:
        """Whether an attempt has left a copy. Raises ApiError if the bucket cannot be read."""
        return self.is_kept and self._newest() is not None

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """Keeps the copy near to the folder while something is done, and brings it up to date at the end."""
        if not self.is_kept:
            yield
            return
        self._put_quietly()  # what was asked for is frozen before anything is learned
        thread = threading.Thread(target=self._follow, name="training-state", daemon=True)
        thread.start()
        try:
            yield
        except errors.LeaseLost:
            raise
        except BaseException:
            self._has_last = True
            raise
        finally:
            self._ended.set()
            thread.join(LAST_S)

    # ---- reading ------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        for _ in range(READS):
            newest = self._newest()
            if newest is None:
                return
            try:
                copy = _Snapshot.of_json(self._reading.get(self._list_uri(newest)))
                if newest != self._local_epoch():  # else here may be more than in the copy, never less
                    self._write(copy)
            except errors.ApiError as error:
                if error.code not in (code_pb2.NOT_FOUND, code_pb2.DATA_LOSS):
                    raise
                log.warning("event=training_state_changed folder=%s reason=%s", self._folder.name, error.message)
                continue
            self._known = newest, copy
            log.info(
                "event=training_state_read folder=%s epoch=%d files=%d", self._folder.name, newest, len(copy.files)
            )
            return
        log.error(
            "event=training_state_lost folder=%s", self._folder.name
        )  # what is here, or a new beginning, has to do

    def _write(self, copy: _Snapshot) -> None:
        """Puts the copy in place of the folder: all of it is read before anything is replaced."""
        fetching = self._folder.with_name(f"{self._folder.name}.fetching")
        shutil.rmtree(fetching, ignore_errors=True)
        private.make_folder(fetching)
        try:
            for path, (size_bytes, digests) in copy.files.items():
                target = fetching / path
                private.make_folder(target.parent)
                with private.open_file(target, "wb") as file:
                    for digest in digests:
                        file.write(self._part(digest))
                if target.stat().st_size != size_bytes:
                    raise errors.data_loss(f"{self._place}: {path} is not what was written.")
            shutil.rmtree(self._folder, ignore_errors=True)
            fetching.rename(self._folder)
        finally:
            shutil.rmtree(fetching, ignore_errors=True)

    def _part(self, digest: str) -> bytes:
        found = self._reading.get(self._place.child(f"parts/{digest}"), max_bytes=PART_BYTES)
        if hashlib.sha256(found).hexdigest() != digest:
            raise errors.data_loss(f"{self._place.child(f'parts/{digest}')} is not what was written.")
        return found

    def _newest(self) -> int | None:
        names = (
            info.uri.key.rpartition("/")[2] for info in self._reading.list(self._place) if "/parts/" not in info.uri.key
        )
        epochs = [int(name[len("attempt-") : -len(".json")]) for name in names if name.startswith("attempt-")]
        return max(epochs, default=None)

    def _local_epoch(self) -> int | None:
        try:
            return int((self._folder / MARK_FILE).read_text())
        except (OSError, ValueError):
            return None

    def _list_uri(self, epoch: int) -> objects.ObjectUri:
        return self._place.child(f"attempt-{epoch:08d}.json")

    # ---- writing ------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._ended.wait(self._every_s):
            self._put_quietly()
        if self._has_last:
            self._put_quietly()

    def _put_quietly(self) -> None:
        """Puts what is new; a bucket that is away costs nothing but the progress, should this machine go away too."""
        try:
            self._put()
        except (errors.ApiError, OSError) as error:
            log.warning("event=training_state_not_put folder=%s reason=%s", self._folder.name, error)

    def _put(self) -> None:
        paths = {
            path.relative_to(self._folder).as_posix(): path
            for path in self._folder.rglob("*")
            if path.name in KEPT_FILES
        }
        stats = {path: found for path, file in paths.items() if (found := _stat(file))}
        if stats == self._seen or (self._folder / MODEL_FOLDER).exists():
            return
        old = self._known[1] if self._known else _Snapshot({})
        here = self._known is not None and self._known[0] == self._epoch
        copy = _Snapshot({})
        for path, stat in stats.items():
            same = here and self._seen.get(path) == stat and path in old.files
            copy.files[path] = old.files[path] if same else self._put_file(paths[path], old.parts)
        self._stores.put(self._list_uri(self._epoch), copy.to_json())
        before, self._known, self._seen = self._known, (self._epoch, copy), stats
        if self._newest() != self._epoch:  # another attempt has begun, by what this one has put
            return
        for digest in old.parts - copy.parts:
            self._stores.delete_written(self._place.child(f"parts/{digest}"))
        if before is not None and before[0] != self._epoch:
            self._stores.delete_written(self._list_uri(before[0]))

    def _put_file(self, path: pathlib.Path, there: set[str]) -> tuple[int, list[str]]:
        size_bytes, digests = 0, []
        with path.open("rb") as file:  # replaced as a whole while it is read, it stays the former one here
            while part := file.read(PART_BYTES):
                digest = hashlib.sha256(part).hexdigest()
                if digest not in there:
                    self._stores.put(self._place.child(f"parts/{digest}"), part)
                size_bytes += len(part)
                digests.append(digest)
        return size_bytes, digests


def _stat(path: pathlib.Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # the training is done with it
        return None
    return found.st_mtime_ns, found.st_size
