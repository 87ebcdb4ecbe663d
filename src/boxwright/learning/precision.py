"""Which precision a model predicts with: int8 is built, compared with fp32, and used only if it is as good and faster.

    PrecisionSelector(…).choose_from(images) -> the section `quantisation` of model.json

The choice is made once, here, and written into model.json, so that results do not depend on the machine that predicts.
Where nothing can be compared - too few images, too little time, no NNCF - the model stays with fp32, and says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, Protocol

import numpy as np

from boxwright import errors
from boxwright.images import decode, letterbox
from boxwright.inference import loaded_model
from boxwright.learning import listener, model_draft, quantise_main
from boxwright.processes import Child, ChildExitError

CHILD_MODULE = "boxwright.learning.quantise_main"
MAX_LOSS = 0.005  # of the quality, on a scale of 0 to 1
LEAST_SCORE = 0.05  # a network that is next to useless has nothing to lose
LEAST_GAIN = 1.05  # int8 must be this much faster: what is less is the measurement's noise
TIMED_PAIRS = 40
CHILD_ATTEMPTS = 2  # it may have been killed for someone else's memory
CALIBRATION_IMAGES = 128
COMPARED_FROM = 100  # images that a comparison should have: training images fill up a smaller validation set
COMPARED_LEAST = 32  # with fewer, a loss of half a point could not be told from chance
COMPARED_MOST = 500
TIMING_S = 3.0  # for these pairs, at most
CHILD_S = 9.0  # start and correction of biases on a busy machine; the statistics come on top


class StoredExample(Protocol):
    """An example as far as this module knows it."""

    @property
    def uri(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class Images:
    """What a choice looks at.

    Attributes:
        calibration: training images, from which int8's ranges are learned.
        compared: (split, image), validation first.
    """

    calibration: tuple[Any, ...]
    compared: tuple[tuple[str, Any], ...]


def images_for(train: Sequence[StoredExample], validation: Sequence[StoredExample]) -> Images:
    """Chooses the images: calibration spread over TRAIN; VALIDATION to compare, filled up from TRAIN if it is small."""
    stride = max(1, len(train) // CALIBRATION_IMAGES)
    calibration = tuple(train[::stride][:CALIBRATION_IMAGES])
    chosen = {id(one) for one in calibration}
    rest = [one for one in train if id(one) not in chosen]
    compared = [("VALIDATION", one) for one in validation[:COMPARED_MOST]]
    missing = max(0, COMPARED_FROM - len(compared))
    compared += [("TRAIN", one) for one in [*rest, *calibration][:missing]]
    return Images(calibration, tuple(compared))


def child_s(images: int, image_s: float) -> float:
    """Seconds that building int8 from this many images takes on a busy machine, if predicting one takes `image_s`."""
    return CHILD_S + images * image_s


@dataclasses.dataclass(frozen=True)
class Quality:
    """What the two networks are compared by.

    Attributes:
        key: of the figure in `quantisation`.
        words: for reasons: "points of …".
        measure: from examples and what a network said of them to a figure in [0, 1].
        open: from the draft, the number of streams and a precision to a model.
        image_s: seconds to set aside for predicting one image.
    """

    key: str
    words: str
    measure: Callable[[Sequence[Any], Sequence[Any]], float]
    open: Callable[..., loaded_model.LoadedModel]
    image_s: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """One precision, measured."""

    score: float
    ms_per_image: float


def verdict(fp32: Measured, int8: Measured, words: str) -> tuple[str, str]:
    """(precision, reason) from what was measured."""
    loss = fp32.score - int8.score
    if fp32.score < LEAST_SCORE:
        return "fp32", "The network finds too little to compare int8 with."
    if loss > MAX_LOSS:
        return "fp32", f"int8 loses {100 * loss:.2f} points of {words}, more than {100 * MAX_LOSS:.1f}."
    if fp32.ms_per_image < LEAST_GAIN * int8.ms_per_image:
        return "fp32", "int8 is not faster on the machine that trained the model."
    gain = fp32.ms_per_image / int8.ms_per_image
    points = f"{abs(100 * loss):.2f}"
    change = "keeps the" if float(points) == 0 else f"{'loses' if loss > 0 else 'gains'} {points} points of"
    return "int8", f"int8 {change} {words} and is {gain:.1f} times as fast."


class Refused(Exception):
    """There will be no int8 network; the text says why."""


class PrecisionSelector:
    """Makes the choice for a draft of a model folder.

    Args:
        draft: model.json and model.onnx; gains the int8 network if that is chosen.
        threads: processor threads to use.
        read_bytes: from a URI to the encoded image.
        watcher: may ask to stop.
        left_s: seconds until the choice has to be made.
        quality: what the networks are compared by.
    """

    def __init__(
        self,
        draft: pathlib.Path,
        *,
        threads: int,
        read_bytes: Callable[[str], bytes],
        watcher: listener.ProgressListener,
        left_s: Callable[[], float],
        quality: Quality,
    ) -> None:
        self._draft = draft
        self._threads = threads
        self._read_bytes = read_bytes
        self._watcher = watcher
        self._left_s = left_s
        self._quality = quality

    def choose_from(self, images: Images) -> dict[str, Any]:
        """Builds, compares, decides, and writes the decision into the draft's model.json.

        Returns:
            the section `quantisation`: `chosen`, `reason`, and what was measured.

        Raises:
            TrainingStopped: the listener asked for it.
        """
        try:
            section = self._measured(images)
        except Refused as refusal:
            return self.refuse(str(refusal))
        model_draft.write_choice(self._draft, section, quantise_main.INT8_FILE)
        return section

    def refuse(self, reason: str) -> dict[str, Any]:
        """Writes down that the model predicts in fp32, and why; returns the section."""
        section = {"chosen": "fp32", "reason": reason}
        model_draft.write_choice(self._draft, section, quantise_main.INT8_FILE)
        return section

    def _measured(self, images: Images) -> dict[str, Any]:
        if importlib.util.find_spec("nncf") is None:
            raise Refused("NNCF, which builds int8 networks, is not installed.")
        if len(images.compared) < COMPARED_LEAST:
            raise Refused(f"Fewer than {COMPARED_LEAST} validation and training images: too few to compare int8 on.")
        fp32 = self._quality.open(self._draft, streams=self._threads, precision="fp32")
        needed_s = child_s(len(images.calibration), self._quality.image_s) + TIMING_S
        self._spend(needed_s)
        section: dict[str, Any] = {"calibration_images": self._write_frames(fp32, images.calibration)}
        try:
            section |= self._candidate(fp32, quantise_main.KEPT[0], images.compared)
            if section["chosen"] == "fp32" and self._left_s() >= needed_s:
                with contextlib.suppress(Refused):  # then the first one has decided
                    section |= self._candidate(fp32, quantise_main.KEPT[1], images.compared)
        finally:
            (self._draft / quantise_main.FRAMES_FILE).unlink(missing_ok=True)
        return section

    def _candidate(
        self, fp32: loaded_model.LoadedModel, kept: str, compared: Sequence[tuple[str, StoredExample]]
    ) -> dict[str, Any]:
        """Builds one int8 network and compares it."""
        tools = self._quantise(kept)
        model_draft.write_choice(self._draft, {"chosen": "int8"}, quantise_main.INT8_FILE)  # so that it can be opened
        int8 = self._quality.open(self._draft, streams=self._threads, precision="int8")
        counts, scores = self._compare((fp32, int8), compared)
        speeds = self._speeds(fp32, int8)
        measured = [Measured(score, speed) for score, speed in zip(scores, speeds, strict=True)]
        chosen, reason = verdict(measured[0], measured[1], self._quality.words)
        return {
            "chosen": chosen,
            "reason": reason,
            "kept_in_fp32": kept,
            "fp32": {self._quality.key: round(scores[0], 4), "ms_per_image": round(speeds[0], 3)},
            "int8": {self._quality.key: round(scores[1], 4), "ms_per_image": round(speeds[1], 3)},
            "compared_images": counts,
            "tools": tools,
        }

    def _spend(self, needed_s: float) -> None:
        """Makes sure that the listener still waits and that there is time.

        Raises:
            TrainingStopped: it does not.
            Refused: there is not.
        """
        if self._watcher.stop_requested():
            raise listener.TrainingStopped
        if self._left_s() < needed_s:
            raise Refused("There was too little time to build int8 and compare it.")

    def _prepared(
        self, opened: loaded_model.LoadedModel, examples: Sequence[StoredExample]
    ) -> Iterator[list[letterbox.Prepared | None]]:
        """Images in the network's frame, a few at a time; None for one that cannot be used."""

        def prepare(example: StoredExample) -> letterbox.Prepared | None:
            try:
                return opened.prepare(self._read_bytes(example.uri))
            except (OSError, LookupError, errors.ApiError, decode.DecodeError):
                return None  # reported by those who need it for training and evaluation

        chunk = 4 * self._threads
        with futures.ThreadPoolExecutor(self._threads) as pool:
            for first in range(0, len(examples), chunk):
                self._spend(0.0)
                yield list(pool.map(prepare, examples[first : first + chunk]))

    def _write_frames(self, opened: loaded_model.LoadedModel, examples: Sequence[StoredExample]) -> int:
        frames = [one.pixels for part in self._prepared(opened, examples) for one in part if one is not None]
        if not frames:
            raise Refused("No training image could be read to calibrate int8.")
        np.save(self._draft / quantise_main.FRAMES_FILE, np.concatenate(frames))  # (N, H, W, 3)
        return len(frames)

    def _quantise(self, kept: str) -> dict[str, str]:
        """Lets a child write the int8 network; returns the versions of its tools."""
        for attempt in range(1, CHILD_ATTEMPTS + 1):
            try:
                return self._follow_child(kept)
            except ChildExitError as error:
                if attempt == CHILD_ATTEMPTS:
                    raise Refused(f"int8 could not be built: {error}.") from error
        raise AssertionError("the last attempt returns or raises")

    def _follow_child(self, kept: str) -> dict[str, str]:
        child = Child(CHILD_MODULE, [str(self._draft), str(self._threads), kept])
        try:
            while True:
                self._spend(TIMING_S)
                match child.next_event(timeout_s=0.1):
                    case {"event": "done", "tools": tools}:
                        return dict(tools)
                    case {"event": "failed", "message": message}:
                        raise Refused(f"int8 could not be built: {message}")
        finally:
            child.close(grace_s=0)

    def _compare(
        self,
        networks: tuple[loaded_model.LoadedModel, loaded_model.LoadedModel],
        compared: Sequence[tuple[str, StoredExample]],
    ) -> tuple[dict[str, int], list[float]]:
        """Images per split, and the quality of both networks on the very same images."""
        counts = {"VALIDATION": 0, "TRAIN": 0}
        judged: list[StoredExample] = []
        found: tuple[list[Any], list[Any]] = ([], [])
        position = 0
        with futures.ThreadPoolExecutor(self._threads) as pool:
            for part in self._prepared(networks[0], [example for _, example in compared]):
                rows = compared[position : position + len(part)]
                position += len(part)
                usable = [(row, one) for row, one in zip(rows, part, strict=True) if one is not None]
                for opened, answers in zip(networks, found, strict=True):
                    answers.extend(pool.map(lambda pair, opened=opened: _answer(opened, pair[1]), usable))
                for (split, example), _ in usable:
                    counts[split] += 1
                    judged.append(example)
        if len(judged) < COMPARED_LEAST:
            raise Refused(f"Fewer than {COMPARED_LEAST} images could be read: too few to compare int8 on.")
        return counts, [self._quality.measure(judged, answers) for answers in found]

    def _speeds(self, *networks: loaded_model.LoadedModel) -> list[float]:
        """Milliseconds per image of each network on one core: medians of inferences that take turns."""
        height, width = networks[0].input_hw
        pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
        frame = letterbox.Prepared(pixels, (0, 0), (width, height), (height, width))
        times_ms: list[list[float]] = [[] for _ in networks]
        started_s = time.perf_counter()
        while len(times_ms[0]) < TIMED_PAIRS and time.perf_counter() - started_s < TIMING_S:
            for opened, column in zip(networks, times_ms, strict=True):
                begun_s = time.perf_counter()
                opened.infer(frame)
                column.append(1e3 * (time.perf_counter() - begun_s))
        return [statistics.median(column) for column in times_ms]


def _answer(opened: loaded_model.LoadedModel, prepared: letterbox.Prepared) -> Any:
    return opened.postprocess(opened.infer(prepared), prepared)
