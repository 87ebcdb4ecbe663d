"""Online prediction: a few models kept in memory in this process, least recently used out first."""

from __future__ import annotations

import collections
import pathlib
import threading

from boxwright import boxes, errors
from boxwright.prediction.decode import DecodeError
from boxwright.prediction.predictor import ModelError, Predictor


class OnlineModels:
    """Answers one image at a time.

    Args:
        models_dir: where trained models' folders are.
        capacity: how many models stay loaded.
        threads: images predicted at once per model.
    """

    def __init__(self, models_dir: pathlib.Path, *, capacity: int, threads: int) -> None:
        self._models_dir = models_dir
        self._capacity = capacity
        self._threads = threads
        self._lock = threading.Lock()
        self._open: collections.OrderedDict[str, Predictor] = collections.OrderedDict()

    def predict(self, folder: str, image_bytes: bytes) -> tuple[boxes.Detections, list[tuple[str, str]]]:
        """Returns the detections and the model's (annotation spec id, display name) by label index.

        Raises:
            ApiError: INVALID_ARGUMENT if the bytes are no usable image, FAILED_PRECONDITION if the model cannot be loaded.
        """
        predictor = self._get(folder)
        try:
            found = predictor.predict(image_bytes)
        except DecodeError as error:
            raise errors.invalid_argument("payload.image.image_bytes", str(error)) from error
        return found, [(label.annotation_spec_id, label.display_name) for label in predictor.labels]

    def forget(self, folder: str) -> None:
        """Frees a model's memory."""
        with self._lock:
            self._open.pop(folder, None)

    def _get(self, folder: str) -> Predictor:
        with self._lock:  # loading under the lock: two callers must not load one model twice
            if folder not in self._open:
                try:
                    self._open[folder] = Predictor.open(self._models_dir / folder, streams=self._threads)
                except ModelError as error:
                    raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error
                while len(self._open) > self._capacity:
                    self._open.popitem(last=False)
            self._open.move_to_end(folder)
            return self._open[folder]
