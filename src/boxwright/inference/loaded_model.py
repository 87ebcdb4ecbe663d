"""A network in its runtime, with what stands before it: bytes of an image to the network's output.

    OwnModel.open(folder) -> OwnModel                       loads the network that model.json chooses into a runtime
    prepare(bytes) -> Prepared                              decode and letterbox
    infer(prepared) -> RawOutput                            the network, one image at a time
    postprocess(raw, prepared), predict(bytes)              what a kind of model makes of it

Training's evaluation, online and batch prediction all come through here, so they agree. One image is one request on one
thread: what is found in an image depends on nothing but the image and the model.
"""

from __future__ import annotations

import abc
import pathlib
from typing import Self

from boxwright import machine
from boxwright.images import decode
from boxwright.images.letterbox import STRETCH, Prepared, decoded_hw, letterbox
from boxwright.inference import runtime_selection
from boxwright.inference.model_folder import (
    MODEL_FILE,
    Label,
    ModelError,
    ModelInfo,
    read_network,
)
from boxwright.inference.runtime import RawOutput, Runtime
from boxwright.predictions import ImagePrediction

RESULTS_VERSION = 1  # raised when the same output of a network gives other results: former ones are not taken over then


class LoadedModel(abc.ABC):
    """A loaded model. Safe for any number of threads; its runtime decides how many images run at once.

    Attributes:
        KIND: of the models that the class loads, as model.json names it.
    """

    KIND: str

    def __init__(self, info: ModelInfo, runtime: Runtime, limits: decode.ImageLimits, network_bytes: int = 0) -> None:
        self.info = info
        self.network_bytes = network_bytes
        self.limits = limits
        self.runtime = runtime

    @classmethod
    def open(
        cls,
        folder: pathlib.Path,
        *,
        streams: int | None = None,
        precision: str | None = None,
        runtime: str = "cpu",
        limits: decode.ImageLimits = decode.DEFAULT_LIMITS,
        keep_compiled: bool = False,
    ) -> Self:
        """Loads a model folder.

        Args:
            folder: holds model.json and the network's files.
            streams: images in flight on the CPU, one thread each; this machine's usable cores when None.
            precision: of the network; the one that model.json chooses when None.
            runtime: "cpu", "gpu" or "auto"; see `runtime_selection.open_runtime`.
            limits: per image.
            keep_compiled: keep the compiled network in the folder, for the next process that opens it on this machine.

        Raises:
            ModelError: the folder is incomplete or damaged, or the network does not run here.
            ValueError: the model has no network of that precision.
        """
        info = ModelInfo.read(folder)
        if not decode.FIRST_POLICY <= info.image_policy <= decode.POLICY:
            raise ModelError(
                f"{folder}: {MODEL_FILE} names image policy {info.image_policy}; this Boxwright knows "
                f"{decode.FIRST_POLICY} to {decode.POLICY}."
            )
        if info.kind != cls.KIND:
            raise ModelError(f"{folder.name}: this is a model of the kind {info.kind}, not {cls.KIND}.")
        network = read_network(folder, info, precision or info.precision)
        count = streams or machine.affinity_cores()
        try:
            opened = runtime_selection.open_runtime(
                network, info.input_hw, count, runtime, folder if keep_compiled else None
            )
        except ModelError as error:
            raise ModelError(f"{folder.name}: {error}") from error
        return cls(info, opened, limits, len(network.graph) + len(network.weights or b""))

    @property
    def labels(self) -> tuple[Label, ...]:
        """In the order of the network's classes."""
        return self.info.labels

    @property
    def input_hw(self) -> tuple[int, int]:
        """Network input in pixels."""
        return self.info.input_hw

    @property
    def digest(self) -> str:
        """Names the model: equal digests, equal answers."""
        return self.info.digest

    def prepare(self, data: bytes) -> Prepared:
        """Decodes and letterboxes one image.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        info = self.info
        target_hw = info.input_hw
        if info.framing.resize == STRETCH:
            target_hw = decoded_hw(decode.upright_size(data, self.limits), target_hw)
        return letterbox(decode.decode(data, target_hw, self.limits, info.image_policy), info.input_hw, info.framing)

    def infer(self, prepared: Prepared) -> RawOutput:
        """Runs the network on one image; waits while the runtime is busy."""
        return self.runtime.infer(prepared.pixels)

    @abc.abstractmethod
    def postprocess(self, raw: RawOutput, prepared: Prepared, min_score: float = 0.0) -> ImagePrediction:
        """The answer for an image, from the network's output.

        Args:
            raw: from `infer`.
            prepared: from `prepare`.
            min_score: a caller that will drop lower scores anyway saves time by saying so here; what is at or above it is
                the same as without.
        """
