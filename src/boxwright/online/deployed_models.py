"""Online prediction: deployed models stay loaded in a process of their own, which is started again when it ends."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import logging
import threading
import time
from typing import Any

from boxwright import errors
from boxwright.images.decode import DecodeError
from boxwright.inference.model_folder import Label, ModelError, ModelInfo
from boxwright.inference.model_store import ModelFolders
from boxwright.online.prediction_process import (
    OverdueImageError,
    PredictionProcess,
    ProcessEndedError,
    UnknownModelError,
)
from boxwright.predictions import ImagePrediction
from boxwright.telemetry.metrics import Metrics

ATTEMPTS = 5  # to hand an image over to a process that ends, or unloads the model, before it has the image
LOAD_ATTEMPTS = 2  # of one model: a process that ends twice while it loads the same one ends because of it
MIN_DECODES = 2  # at once, so that one image that takes long does not stop all others
STEADY_S = 10.0  # a process that ends earlier is started again after a pause
PAUSES_S = (0.0, 0.1, 0.5, 2.0, 5.0)  # after so many that were not steady, one after the other
LENDING_S = 60.0  # to wait for others that predict with models which are not deployed
DEFAULT_TIMEOUT_S = 30.0  # for decoding one image

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _LoadedModel:
    process: PredictionProcess
    number: int
    kind: str
    labels: tuple[Label, ...]


@dataclasses.dataclass(frozen=True)
class _Deployment:
    node_count: int
    loading: concurrent.futures.Future[_LoadedModel]

    @property
    def loaded(self) -> _LoadedModel | None:
        """What was loaded, None as long as nothing is."""
        done = self.loading.done() and not self.loading.cancelled() and self.loading.exception() is None
        return self.loading.result() if done else None

    @property
    def has_failed(self) -> bool:
        """Whether the model could not be loaded."""
        return self.loading.done() and self.loaded is None


class DeployedModels:
    """The models that answer online predictions, and the process that has them loaded.

    The process is started for the first model. When it ends, a new one loads all models again, and calls wait for it.

    Args:
        folders: the trained models.
        cores: images predicted at once at most, however many nodes a model has.
        runtime: what runs the networks; see `runtime_selection.open_runtime`.
        precision: of the networks; None for the one that each model has chosen.
        timeout_s: for decoding one image; beyond it the process is ended and started again.
        metrics: counts loads.
    """

    def __init__(
        self,
        folders: ModelFolders,
        *,
        cores: int,
        runtime: str = "cpu",
        precision: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._folders = folders
        self._cores = cores
        self._runtime = runtime
        self._precision = precision
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._deployed: dict[str, _Deployment] = {}  # what answers, or will first
        self._node_counts: dict[str, int] = {}  # what was asked for last
        self._changes = 0  # calls of `deploy` and `undeploy`
        self._lending = threading.Lock()
        self._lent = ""  # a model that is loaded and not deployed: one at most
        self._process: PredictionProcess | None = None
        self._numbers = itertools.count(1)
        self._unsteady = 0  # processes, one after the other
        self._closing = threading.Event()
        # one thread: it starts the processes, which Linux ends with it, and loads one model after the other
        self._loader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="model-loader")

    def deploy(self, folder: str, node_count: int) -> None:
        """Loads a model in the background; while it loads again for another node count, the old one answers."""
        with self._lock:
            self._changes += 1
            current = self._deployed.get(folder)
            self._lent = "" if self._lent == folder else self._lent
            asked, self._node_counts[folder] = self._node_counts.get(folder), node_count
            if current is not None and current.node_count == node_count == asked and not current.has_failed:
                return
            loading = self._loader.submit(self._load, folder, node_count)
            if current is None or current.has_failed:
                self._deployed[folder] = _Deployment(node_count, loading)
                return
        loading.add_done_callback(lambda done: self._replace(folder, _Deployment(node_count, done)))

    def undeploy(self, folder: str) -> None:
        """Frees a model's memory once its running predictions have ended."""
        with self._lock:
            self._changes += 1
            self._node_counts.pop(folder, None)
            self._lent = "" if self._lent == folder else self._lent
            deployment = self._deployed.pop(folder, None)
        if deployment is not None:
            deployment.loading.add_done_callback(_unload)

    @property
    def changes(self) -> int:
        """Grows with every call of `deploy` and `undeploy`; see `follow`."""
        with self._lock:
            return self._changes

    def follow(self, wanted: dict[str, int], changes: int, *, retry: bool = False) -> None:
        """Deploys and undeploys what other processes have.

        Args:
            wanted: node count by folder, as the rows say.
            changes: `changes` from before the rows were read; nothing is done if there were others since.
            retry: whether models that could not be loaded are tried again.
        """
        with self._lock:
            if changes != self._changes:
                return
            present = dict(self._node_counts)
            failed = {folder for folder, found in self._deployed.items() if retry and found.has_failed}
        for folder in present.keys() - wanted.keys():
            self.undeploy(folder)
        for folder, node_count in wanted.items():
            if present.get(folder) != node_count or folder in failed:
                self.deploy(folder, node_count)

    def ensure(self, folder: str, node_count: int) -> None:
        """Deploys a model that another process has deployed a moment ago; no effect on one that is known here."""
        with self._lock:
            is_known = folder in self._node_counts
        if not is_known:
            self.deploy(folder, node_count)

    def delete(self, folder: str) -> None:
        """Frees a model's memory and removes its folder; from a bucket in the background, as that may take its time."""
        self.undeploy(folder)
        self._folders.delete_here(folder)
        self._loader.submit(self._delete, folder)

    def predict(self, folder: str, image_bytes: bytes) -> tuple[ImagePrediction, list[tuple[str, str]]]:
        """Returns what was found and the model's (annotation spec id, display name) by label index.

        Raises:
            ApiError: INVALID_ARGUMENT if the bytes are no usable image, FAILED_PRECONDITION if the model cannot be loaded,
                UNAVAILABLE if it was undeployed meanwhile or the process ended with the image, DEADLINE_EXCEEDED if
                decoding took too long.
        """
        for _ in range(ATTEMPTS):
            model = self._loaded(folder)
            try:
                found = model.process.predict(model.number, image_bytes, model.kind, len(model.labels))
            except UnknownModelError:
                continue  # it was loaded again for another node count, or undeployed
            except ProcessEndedError as error:
                self._renew(model.process)
                if not error.had_image:
                    continue
                raise errors.unavailable(
                    "The process that predicts ended while it had this image, and is started again. Try again; if that "
                    "happens each time, this image is the reason: leave it out."
                ) from error
            except OverdueImageError as error:
                self._renew(model.process)
                raise errors.deadline_exceeded(
                    f"The image was not decoded within {self._timeout_s:g} s (predict_timeout_s). Send it smaller, or in "
                    "another format."
                ) from error
            except DecodeError as error:
                raise errors.invalid_argument("payload.image.image_bytes", str(error)) from error
            return found, [(label.annotation_spec_id, label.display_name) for label in model.labels]
        raise errors.unavailable("The process that predicts is being started again; try again shortly.")

    def predict_loading(self, folder: str, image_bytes: bytes) -> tuple[ImagePrediction, list[tuple[str, str]]]:
        """As `predict`; a model that is not deployed is loaded for it, and stays until another one is wanted.

        One such model is in memory at most, so who wants others waits.

        Raises:
            ApiError: as `predict`; UNAVAILABLE if others took too long.
        """
        with self._lock:
            is_deployed = folder in self._deployed and self._lent != folder
        if is_deployed:
            return self.predict(folder, image_bytes)
        if not self._lending.acquire(timeout=LENDING_S):
            raise errors.unavailable("Other models are being loaded. Try again shortly, or deploy this one.")
        try:
            self._lend(folder)
            return self.predict(folder, image_bytes)
        finally:
            self._lending.release()

    def _lend(self, folder: str) -> None:
        """Loads a model that is not deployed, in the place of the one that was lent before."""
        former = None
        with self._lock:
            current = self._deployed.get(folder)
            if current is not None and not (self._lent == folder and current.has_failed):
                return
            if self._lent != folder:
                former = self._deployed.pop(self._lent, None)
            self._lent = folder
            self._deployed[folder] = _Deployment(1, self._loader.submit(self._load, folder, 1))
        if former is not None:
            former.loading.add_done_callback(_unload)

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
        """Ends the process, and with it what it is asked, and stops loading."""
        with self._lock:
            self._closing.set()
            process, self._process = self._process, None
        self._loader.shutdown(wait=False, cancel_futures=True)
        if process is not None:
            process.close()
        self._loader.shutdown()

    def _loaded(self, folder: str) -> _LoadedModel:
        """The model, as soon as it is loaded; raises ApiError if it is not, or cannot be."""
        while True:
            with self._lock:
                deployment = self._deployed.get(folder)
            if deployment is None:
                raise errors.unavailable("The model was undeployed a moment ago; deploy it again to predict.")
            try:
                return deployment.loading.result()
            except ModelError as error:
                raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error
            except concurrent.futures.CancelledError:
                raise errors.unavailable("The service is stopping; try again shortly.") from None

    @property
    def loaded_count(self) -> int:
        """How many models are loaded now."""
        with self._lock:
            return sum(deployment.loaded is not None for deployment in self._deployed.values())

    def _load(self, folder: str, node_count: int) -> _LoadedModel:
        with self._metrics.timed("boxwright_model_load_seconds"):
            return self._load_now(folder, node_count)

    def _load_now(self, folder: str, node_count: int) -> _LoadedModel:
        path = self._folders.local(folder)
        info = ModelInfo.read(path)
        streams = min(node_count, self._cores)
        for _ in range(LOAD_ATTEMPTS):
            process = self._running_process()
            number = next(self._numbers)
            try:
                label = process.load(number, path, streams=streams, precision=self._precision, runtime=self._runtime)
            except ProcessEndedError as error:
                log.warning("event=load_interrupted folder=%s reason=%r", folder, str(error))
                self._renew(process)
                continue
            log.info(
                "event=model_loaded folder=%s node_count=%d streams=%d pid=%d by=%s",
                folder, node_count, streams, process.pid, label,
            )  # fmt: skip
            return _LoadedModel(process, number, info.kind, info.labels)
        raise ModelError(f"{folder}: the process that predicts ends when it loads the network; see the service's log.")

    def _running_process(self) -> PredictionProcess:
        """The process, started if there is none; in the loader's thread only."""
        if self._process is None:
            self._closing.wait(PAUSES_S[min(self._unsteady, len(PAUSES_S) - 1)])
        with self._lock:
            if self._closing.is_set():
                raise errors.unavailable("The service is stopping; try again shortly.")
            if self._process is None:
                self._process = PredictionProcess(self._timeout_s, max(self._cores, MIN_DECODES), self._renew)
            return self._process

    def _renew(self, ended: PredictionProcess) -> None:
        """Loads every model of a process that has ended into a new one; may be called again for the same process."""
        with self._lock:
            if self._process is ended:
                self._process = None
                lived_s = time.monotonic() - ended.started_s
                self._unsteady = 0 if lived_s > STEADY_S else self._unsteady + 1
            if self._closing.is_set():
                return
            for folder, deployment in self._deployed.items():
                if (loaded := deployment.loaded) is not None and loaded.process is ended:
                    loading = self._loader.submit(self._load, folder, deployment.node_count)
                    self._deployed[folder] = _Deployment(deployment.node_count, loading)

    def _delete(self, folder: str) -> None:
        try:
            self._folders.delete_there(folder)
        except errors.ApiError as error:  # the next start sweeps it
            log.warning("event=model_not_deleted folder=%s reason=%s", folder, error.message)

    def _replace(self, folder: str, deployment: _Deployment) -> None:
        """Lets a model that was loaded again answer; the former one is unloaded."""
        if deployment.has_failed:
            return
        with self._lock:
            unused = deployment
            if self._node_counts.get(folder) == deployment.node_count:
                unused, self._deployed[folder] = self._deployed[folder], deployment
        unused.loading.add_done_callback(_unload)


def _unload(loading: concurrent.futures.Future[_LoadedModel]) -> None:
    with contextlib.suppress(Exception):  # what was not loaded is not unloaded
        model = loading.result()
        model.process.unload(model.number)
