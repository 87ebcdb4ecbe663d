"""What a network sees in every image: 1280 numbers, computed once and kept beside the checkpoint.

    FeatureReader(network, …).read(examples, name, view) -> Features

The cores compute them in OpenVINO, a third faster than in the tensor library; a GPU in the tensor library. They are kept
as float16 in files of `CHUNK` images, written whole or not at all, so that a later attempt goes on where one was killed, and
are mapped into memory, so that 100,000 images need no more of it than the system can spare.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np
import numpy.typing as npt
import torch

from boxwright import errors, private
from boxwright.classifier.data import dataset
from boxwright.classifier.network import graph, network
from boxwright.images import decode, letterbox
from boxwright.inference import model_folder, openvino_runtime
from boxwright.learning import device, efficientnet, listener

CHUNK = 256
FOLDER = "features"
WHOLE, MIRRORED, UPSIDE_DOWN = "whole", "mirrored", "upside-down"
GPU_BATCH = 32

Array16 = npt.NDArray[np.float16]


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of a set of images, in parts.

    Attributes:
        parts: (n, 1280) float16 each; a row of NaN is an image that cannot be read.
    """

    parts: tuple[Array16, ...]

    def usable(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each image could be read."""
        return np.concatenate([np.zeros(0, bool), *(~np.isnan(part[:, 0]) for part in self.parts)])


class FeatureReader:
    """Computes features of images.

    Args:
        computed: the network, in eval mode.
        input_hw: its input in pixels.
        read_bytes: from a URI to the encoded image.
        threads: to compute with.
        where: cores or GPU.
        watcher: may ask to stop, and is told of images that cannot be read.
        keep_in: folder for what was computed; None: nothing is kept.
        key: names the network in that folder.
    """

    def __init__(
        self,
        computed: network.ClassificationNetwork,
        input_hw: tuple[int, int],
        *,
        read_bytes: Callable[[str], bytes],
        threads: int,
        where: device.Device,
        watcher: listener.ProgressListener,
        keep_in: pathlib.Path | None = None,
        key: str = "",
    ) -> None:
        self._input_hw = input_hw
        self._read_bytes = read_bytes
        self._threads = threads
        self._where = where
        self._watcher = watcher
        self._keep_in = keep_in
        self._key = key
        self._network = computed
        self._runtime: openvino_runtime.OpenVinoRuntime | None = None

    def read(
        self,
        examples: Sequence[dataset.Example],
        name: str,
        view: str = WHOLE,
        tell: Callable[[int], None] = lambda done: None,
    ) -> Features:
        """Features of a view of each image, in order.

        Args:
            examples: the images.
            name: of the set; part of the names of what is kept.
            view: `WHOLE`, `MIRRORED` or `UPSIDE_DOWN`.
            tell: called with the number of images done.

        Raises:
            TrainingStopped: the listener asked for it; what is complete is kept.
        """
        parts = []
        for first in range(0, len(examples), CHUNK):
            part = self._part(
                examples[first : first + CHUNK], f"{self._key}-{name}-{view}-{first // CHUNK:06}.npy", view
            )
            parts.append(part)
            tell(first + len(part))
        return Features(tuple(parts))

    def _part(self, examples: Sequence[dataset.Example], file_name: str, view: str) -> Array16:
        path = None if self._keep_in is None else self._keep_in / file_name
        if path is not None and path.exists():
            kept = np.load(path, mmap_mode="r")
            if kept.shape == (len(examples), efficientnet.HEAD_WIDTH):
                return kept
        rows = self._computed(examples, view)
        if path is None:
            return rows
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        private.sync_folder(path.parent)
        return np.load(path, mmap_mode="r")

    def _computed(self, examples: Sequence[dataset.Example], view: str) -> Array16:
        rows = np.full((len(examples), efficientnet.HEAD_WIDTH), np.nan, np.float16)
        step = GPU_BATCH if self._where.is_gpu else 4 * self._threads
        compute = self._on_gpu if self._where.is_gpu else self._on_cores
        with futures.ThreadPoolExecutor(self._threads) as pool:
            for first in range(0, len(examples), step):
                if self._watcher.stop_requested():
                    raise listener.TrainingStopped
                frames = list(pool.map(lambda one: self._frame(one, view), examples[first : first + step]))
                known = [number for number, frame in enumerate(frames, first) if frame is not None]
                if known:
                    rows[known] = compute([frame for frame in frames if frame is not None], pool)
        return rows

    def _frame(self, example: dataset.Example, view: str) -> npt.NDArray[np.uint8] | None:
        """(1, H, W, 3), None for an image that cannot be used."""
        try:
            image = decode.decode(self._read_bytes(example.uri), self._input_hw)
        except decode.DecodeError as error:
            self._tell(example, view, error.reason)
            return None
        except (OSError, LookupError, errors.ApiError) as error:
            self._tell(example, view, f"the image cannot be read: {error}")
            return None
        pixels = letterbox.letterbox(image, self._input_hw).pixels
        if view == MIRRORED:
            pixels = np.ascontiguousarray(pixels[:, :, ::-1])
        if view == UPSIDE_DOWN:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        return pixels

    def _tell(self, example: dataset.Example, view: str, reason: str) -> None:
        if view == WHOLE and self._keep_in is not None:
            self._watcher.warn(f"An image is left out. {example.uri}: {reason}")

    def _on_gpu(self, frames: Sequence[npt.NDArray[np.uint8]], pool: futures.Executor) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found = self._network.features(self._where.put(torch.from_numpy(np.concatenate(frames))))
        result: npt.NDArray[np.float32] = found.float().cpu().numpy()
        return result

    def _on_cores(self, frames: Sequence[npt.NDArray[np.uint8]], pool: futures.Executor) -> npt.NDArray[np.float32]:
        if self._runtime is None:
            written = graph.features_to_onnx(self._network, self._input_hw)
            stored = model_folder.StoredNetwork("features", written, None, model_folder.digest_of(written), "fp32")
            self._runtime = openvino_runtime.OpenVinoRuntime(stored, self._input_hw, self._threads)
        runtime = self._runtime
        return np.concatenate([one.scores for one in pool.map(runtime.infer, frames)])
