"""Online prediction: deployed models stay in memory, and each answers as many images at once as it has nodes."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
import threading
from typing import Any

from boxwright import boxes, errors
from boxwright.images.decode import DecodeError
from boxwright.inference.model_folder import ModelError, ModelInfo
from boxwright.inference.model_store import ModelFolders
from boxwright.inference.predictor import Predictor

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Deployment:
    node_count: int
    predictor: concurrent.futures.Future[Predictor]


class DeployedModels:
    """The models that answer online predictions.

    Args:
        folders: the trained models.
        cores: images predicted at once at most, however many nodes a model has.
        runtime: what runs the networks; see `runtime_selection.open_runtime`.
        precision: of the networks; None for the one that each model has chosen.
    """

    def __init__(
        self, folders: ModelFolders, *, cores: int, runtime: str = "cpu", precision: str | None = None
    ) -> None:
        self._folders = folders
        self._cores = cores
        self._runtime = runtime
        self._precision = precision
        self._lock = threading.Lock()
        self._deployed: dict[str, _Deployment] = {}
        self._loader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="model-loader")

    def deploy(self, folder: str, node_count: int) -> None:
        """Loads a model in the background; while it loads again for another node count, the old one answers."""
        with self._lock:
            current = self._deployed.get(folder)
            if current is not None and current.node_count == node_count:
                return
            loading = self._loader.submit(self._load, folder, node_count)
            if current is None:
                self._deployed[folder] = _Deployment(node_count, loading)
            else:
                loading.add_done_callback(lambda done: self._replace(folder, _Deployment(node_count, done)))

    def undeploy(self, folder: str) -> None:
        """Frees a model's memory once its running predictions have ended."""
        with self._lock:
            self._deployed.pop(folder, None)

    def delete(self, folder: str) -> None:
        """Frees a model's memory and removes its folder; from a bucket in the background, as that may take its time."""
        self.undeploy(folder)
        self._folders.delete_here(folder)
        self._loader.submit(self._delete, folder)

    def predict(self, folder: str, image_bytes: bytes) -> tuple[boxes.Detections, list[tuple[str, str]]]:
        """Returns the detections and the model's (annotation spec id, display name) by label index.

        Raises:
            ApiError: INVALID_ARGUMENT if the bytes are no usable image, FAILED_PRECONDITION if the model cannot be loaded,
                UNAVAILABLE if it was undeployed meanwhile.
        """
        with self._lock:
            deployment = self._deployed.get(folder)
        if deployment is None:
            raise errors.unavailable("The model was undeployed a moment ago; deploy it again to predict.")
        try:
            predictor = deployment.predictor.result()
            found = predictor.predict(image_bytes)
        except ModelError as error:
            raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error
        except DecodeError as error:
            raise errors.invalid_argument("payload.image.image_bytes", str(error)) from error
        return found, [(label.annotation_spec_id, label.display_name) for label in predictor.labels]

    def describe(self, folder: str) -> dict[str, Any]:
        """Returns what model.json says beyond the labels.

        Raises:
            ApiError: FAILED_PRECONDITION if there is no such document that can be read.
        """
        try:
            document = ModelInfo.read(self._folders.local(folder)).document
        except ModelError as error:
            raise errors.failed_precondition(f"The model cannot be read: {error}") from error
        return {key: value for key, value in document.items() if key != "labels"}

    def close(self) -> None:
        """Stops loading."""
        self._loader.shutdown(cancel_futures=True)

    def _load(self, folder: str, node_count: int) -> Predictor:
        predictor = Predictor.open(
            self._folders.local(folder),
            streams=min(node_count, self._cores),
            precision=self._precision,
            runtime=self._runtime,
            keep_compiled=True,
        )
        log.info("event=model_loaded folder=%s node_count=%d by=%s", folder, node_count, predictor.runtime.label)
        return predictor

    def _delete(self, folder: str) -> None:
        try:
            self._folders.delete_there(folder)
        except errors.ApiError as error:  # the next start sweeps it
            log.warning("event=model_not_deleted folder=%s reason=%s", folder, error.message)

    def _replace(self, folder: str, deployment: _Deployment) -> None:
        with self._lock:
            if folder in self._deployed and deployment.predictor.exception() is None:
                self._deployed[folder] = deployment
