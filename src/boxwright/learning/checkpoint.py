"""Training state on disk: written whole or not at all, read without executing anything.

save(folder, state)      temporary file, fsync, rename
load(folder) -> state    None when there is none; a damaged file counts as none and is reported by the caller
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import pickle
from typing import Any

import torch
from torch import Tensor

from boxwright import private

CHECKPOINT_FILE = "checkpoint.pt"
VERSION = 6


class CheckpointError(Exception):
    """A checkpoint exists but cannot be used."""


@dataclasses.dataclass
class State:
    """Everything that a training needs to go on.

    Attributes:
        step: steps done; with the job's seed it is also the position in the data.
        elapsed_s: over all attempts.
        weights, average, optimizer: state dictionaries of network, its moving average, and the optimizer.
        schedule: what it depends on beside the step: `bound_at`, `cooling_from`, `orientation`, `input`, `steps`,
            `batch_size`.
        checks: validations so far, (progress, score).
        history: what the report draws, `losses` and `checks` by step; decides nothing.
        trained: no steps are left to do.
        stop_reason: set when `trained`.
        fingerprint: of the job; another job's checkpoint is refused.
    """

    step: int
    elapsed_s: float
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    checks: list[tuple[float, float]]
    history: dict[str, list[list[float]]]
    trained: bool
    stop_reason: str
    fingerprint: str


def save(folder: pathlib.Path, state: State) -> None:
    """Replaces the checkpoint atomically."""
    temporary = folder / (CHECKPOINT_FILE + ".tmp")
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    with temporary.open("wb") as file:
        torch.save({"version": VERSION, **fields}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / CHECKPOINT_FILE)
    private.sync_folder(folder)


def load(folder: pathlib.Path) -> State | None:
    """Reads the checkpoint, None when there is none.

    Raises:
        CheckpointError: damaged, or written by another version.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        fields = torch.load(path, map_location="cpu", weights_only=True)
        if fields.pop("version") != VERSION:
            raise CheckpointError(f"{CHECKPOINT_FILE} was written by another version")
        return State(**fields)
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{CHECKPOINT_FILE} is unreadable: {error}") from error


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Digest of a state dictionary: names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().contiguous()
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
