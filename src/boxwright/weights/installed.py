"""The folder of installed weights: a safetensors file each, whose metadata say where it comes from and under which terms.

Who loads weights gets them only if they are those that were converted here: their digest is part of the catalogue.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright import errors
from boxwright.weights import catalogue
from boxwright.weights.catalogue import Weights

Array = npt.NDArray[Any]
INSTALL = "boxwright weights install"


class WeightsMissing(Exception):
    """The weights are not installed, or the file is not theirs; the text says which."""


@dataclasses.dataclass(frozen=True)
class InstalledWeights:
    """Weights as they were loaded.

    Attributes:
        weights: what they are.
        tensors: by name, float16: `convolution.N.weight` (out, in, h, w) and `convolution.N.bias` (out,).
        notice: to be passed on with models that start from them.
    """

    weights: Weights
    tensors: dict[str, Array]
    notice: str


def folder(chosen: pathlib.Path | None) -> pathlib.Path:
    """Where weights are: the folder of the setting `weights_dir`, else one in the user's data folder.

    Raises:
        ApiError: FAILED_PRECONDITION: no folder was chosen, and this user has no home.
    """
    if chosen is not None:
        return chosen
    data_home = os.environ.get("XDG_DATA_HOME", "")
    if pathlib.Path(data_home).is_absolute():  # others are to be ignored, by the XDG Base Directory Specification
        return pathlib.Path(data_home, "boxwright", "weights")
    try:
        return pathlib.Path("~/.local/share/boxwright/weights").expanduser()
    except RuntimeError as error:
        raise errors.failed_precondition(
            "This user has no home folder: name one with the setting weights_dir."
        ) from error


def folder_if_any(chosen: pathlib.Path | None) -> pathlib.Path | None:
    """As `folder`, absolute; None for a user without a home."""
    try:
        return folder(chosen).resolve()
    except errors.ApiError:
        return None


def tensors_sha256(tensors: Mapping[str, Array]) -> str:
    """Digest of names, shapes, kinds and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name}:{array.shape}:{array.dtype.str}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load(place: pathlib.Path, wanted: Weights) -> InstalledWeights:
    """Reads installed weights and checks them.

    Raises:
        WeightsMissing: they are not there, or other ones are.
    """
    path = place / wanted.file_name
    if not path.exists():
        raise WeightsMissing(f"the weights {wanted.name} are not installed (`{INSTALL}`)")
    import safetensors  # part of the extra `train`, as are those who load weights

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — not a mapping
            metadata = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsMissing(f"{path} cannot be read: {error} (`{INSTALL}` replaces it)") from error
    if tensors_sha256(tensors) != wanted.tensors_sha256:
        raise WeightsMissing(f"{path} does not hold the weights that belong there (`{INSTALL}` replaces it)")
    return InstalledWeights(wanted, tensors, metadata.get("notice", wanted.notice))


def state(place: pathlib.Path, wanted: Weights) -> str:
    """What is wrong with the weights in a folder, in words; empty if they are there and as they should be."""
    try:
        load(place, wanted)
    except WeightsMissing as error:
        return str(error)
    except ImportError:
        return "the package safetensors, of the extra train, is not installed"
    return ""


def remove(place: pathlib.Path, name: str) -> pathlib.Path | None:
    """Deletes installed weights; returns the file, None if there was none.

    Raises:
        ApiError: INVALID_ARGUMENT: there are no weights of the name; FAILED_PRECONDITION: the file cannot be deleted.
    """
    wanted = catalogue.find(name)
    if wanted is None:
        known = ", ".join(one.name for one in catalogue.ALL)
        raise errors.bad_request(f"There are no weights named {name}. Known: {known}.")
    path = place / wanted.file_name
    try:
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.failed_precondition(f"{path} cannot be deleted: {error.strerror}.") from error
    return path
