"""How many processes do a batch best on this machine: what was measured, kept in one file of the data directory.

    key_of(command) -> Key                what a measurement holds for: another machine or network is measured anew
    Tunings(path).find(key) -> Tuning     None if it was not measured yet, or the file is damaged
    Tunings(path).keep(tuning)            at once or not at all

Nothing here ever changes a result: an image's line does not depend on the process or thread that predicts it.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

from boxwright import machine, private
from boxwright.batch.tuning.command import TuningCommand
from boxwright.inference.model_folder import ModelInfo

FILE = "tuning.json"
FORMAT_VERSION = 1
MAX_ENTRIES = 50  # the newest; more are left over from other machines and versions
MAX_CANDIDATES = 4
PROCESS_BYTES = 300_000_000  # a process has the libraries, the model and its images for itself
GOOD_ENOUGH = 0.97  # of the best rate: what is less than this apart is noise, and fewer processes take less memory

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class MeasurementLimits:
    """How long a measurement lasts, and what it must get to say anything.

    Attributes:
        time_s: for everything that the measuring process does, its own start included.
        cores_share: of the cores of the first candidate, in processor time: with less, something else was at work on this
            machine, and the rates say nothing.
        window_s: for each candidate, after its warm-up.
    """

    time_s: float = 17.0
    cores_share: float = 0.85
    window_s: float = 3.0

    def to_arguments(self) -> list[str]:
        """As arguments of the measuring process."""
        return [repr(value) for value in dataclasses.astuple(self)]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> MeasurementLimits:
        """The reverse of `to_arguments`."""
        return cls(*map(float, arguments))


@dataclasses.dataclass(frozen=True)
class Key:
    """What a measurement holds for.

    Attributes:
        processor: its name.
        cores: how many a batch may use.
        runtime: what runs the network, with its version.
        network: the model's kind and type, input size in pixels and precision.
    """

    processor: str
    cores: int
    runtime: str
    network: str


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What was measured, and what follows from it.

    Attributes:
        key: what it holds for.
        processes: how many do a batch.
        threads: image streams of each.
        in_flight_bytes: memory for images that are read ahead, of all together; not measured, noted.
        images_per_s: by number of processes, every candidate that was measured.
        measured_at: UTC, ``YYYY-MM-DDThh:mm:ssZ``.
    """

    key: Key
    processes: int
    threads: int
    in_flight_bytes: int
    images_per_s: dict[int, float]
    measured_at: str

    def in_words(self) -> str:
        """The measurement as one line."""
        rate = self.images_per_s[self.processes]
        others = ", ".join(
            f"{count}: {other:.0f}" for count, other in self.images_per_s.items() if count != self.processes
        )
        return (
            f"{self.key.network} with {self.key.runtime}: {self.processes} process{'es' * (self.processes > 1)} of "
            f"{self.threads} thread{'s' * (self.threads > 1)}, {rate:.0f} images/s ({others or 'alone'}), "
            f"{self.in_flight_bytes / 1e6:.0f} MB read ahead, measured {self.measured_at}"
        )


def key_of(command: TuningCommand) -> Key:
    """What a measurement of this network, with so many cores, holds for.

    Raises:
        ModelError: the model's folder cannot be read.
    """
    info = ModelInfo.read(pathlib.Path(command.model_folder))
    height, width = info.input_hw
    model_type = info.document.get("model_type", "a network")  # kinds have types of the same names
    return Key(
        processor=machine.processor_name(),
        cores=command.share.cores,
        runtime=f"OpenVINO {importlib.metadata.version('openvino')}",
        network=f"{info.kind.replace('_', ' ')} {model_type} {width}×{height} {command.precision or info.precision}",
    )


def candidates(cores: int, memory_bytes: int) -> list[int]:
    """Numbers of processes that are worth measuring, most first: one a core, half as many and so on; one if nothing is.

    Args:
        cores: how many a batch may use.
        memory_bytes: what they may use together.
    """
    count = max(1, min(cores, memory_bytes // PROCESS_BYTES))
    found = [count]
    while count > 1 and len(found) < MAX_CANDIDATES:
        count //= 2
        found.append(count)
    return found


def best(images_per_s: dict[int, float]) -> int:
    """The fewest processes that are as fast as any."""
    fastest = max(images_per_s.values())
    return min(count for count, rate in images_per_s.items() if rate >= GOOD_ENOUGH * fastest)


class Tunings:
    """The file of what was measured.

    Args:
        path: a file of this machine; other processes may read and write it too.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def find(self, key: Key) -> Tuning | None:
        """What was measured for it, None if nothing was."""
        return next((tuning for tuning in self.all() if tuning.key == key), None)

    def all(self) -> list[Tuning]:
        """Everything that was measured, the newest first; nothing if the file is not there or damaged."""
        try:
            document = json.loads(self._path.read_bytes())
            if document["version"] != FORMAT_VERSION:
                raise ValueError(f"version {document['version']}")
            return [_parsed(entry) for entry in document["tunings"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("event=tuning_unreadable path=%s reason=%r", self._path, error)
            return []

    def keep(self, tuning: Tuning) -> None:
        """Adds a measurement instead of what was there for the same key.

        Raises:
            OSError: the file cannot be written.
        """
        kept = [tuning, *(one for one in self.all() if one.key != tuning.key)][:MAX_ENTRIES]
        document = {"version": FORMAT_VERSION, "tunings": [dataclasses.asdict(one) for one in kept]}
        private.replace_file(self._path, json.dumps(document, indent=2, ensure_ascii=False))


def _parsed(entry: dict[str, Any]) -> Tuning:
    rates = {int(count): float(rate) for count, rate in entry["images_per_s"].items()}
    tuning = Tuning(**{**entry, "key": Key(**entry["key"]), "images_per_s": rates})
    if not all(isinstance(count, int) and count > 0 for count in (tuning.processes, tuning.threads)):
        raise ValueError(f"{tuning.processes} processes of {tuning.threads} threads")
    return tuning
