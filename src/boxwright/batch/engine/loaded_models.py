"""The models that one process keeps loaded: least recently used out first, within a bound on memory."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Callable

from boxwright import errors
from boxwright.batch.job import BatchJob
from boxwright.inference.loaded_model import LoadedModel
from boxwright.inference.model_folder import ModelError
from boxwright.inference.model_opening import open_model

STATM = pathlib.Path("/proc/self/statm")
PAGE_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class _Entry:
    predictor: LoadedModel
    size_bytes: int


class LoadedModels:
    """Predictors by what was asked for. For one thread.

    Args:
        resident_bytes: how much memory this process has.
    """

    def __init__(self, resident_bytes: Callable[[], int] | None = None) -> None:
        self._resident_bytes = resident_bytes or _resident_bytes
        self._entries: collections.OrderedDict[tuple[pathlib.Path, int, str | None, str], _Entry] = (
            collections.OrderedDict()
        )

    def get(
        self, folder: pathlib.Path, *, streams: int, precision: str | None, runtime: str, keep_bytes: int
    ) -> LoadedModel:
        """Returns a predictor, opening it if it is not in memory; see `LoadedModel.open`.

        Args:
            keep_bytes: how much memory the models may take together; the one that is returned stays whatever it takes.
        """
        key = (folder, streams, precision, runtime)
        if key not in self._entries:
            before = self._resident_bytes()
            opened = open_model(folder, streams=streams, precision=precision, runtime=runtime, keep_compiled=True)
            # memory that an earlier model has left behind may be used again without growth: at least what the files have
            size_bytes = max(self._resident_bytes() - before, opened.network_bytes)
            self._entries[key] = _Entry(opened, size_bytes)
        self._entries.move_to_end(key)
        while len(self._entries) > 1 and self.held_bytes > keep_bytes:
            self._entries.popitem(last=False)
        return self._entries[key].predictor

    def for_job(self, job: BatchJob) -> LoadedModel:
        """Returns the predictor of a job, with a stream for each core of its share.

        Raises:
            ApiError: FAILED_PRECONDITION if the model cannot be loaded.
        """
        try:
            return self.get(
                pathlib.Path(job.folders.model),
                streams=job.share.cores,
                precision=job.spec.precision,
                runtime=job.share.runtime,
                keep_bytes=job.share.models_bytes,
            )
        except ModelError as error:
            raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error

    @property
    def held_bytes(self) -> int:
        """What the loaded models take, in bytes; an estimate."""
        return sum(entry.size_bytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


def _resident_bytes() -> int:
    """Memory of this process; 0 where the kernel does not say."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
