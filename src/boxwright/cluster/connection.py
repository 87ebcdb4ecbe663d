"""How a process joins a Ray cluster, and which it refuses: who reaches one without a token runs code on all of it."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import socket
import time
from collections.abc import Callable, Iterator

import ray

from boxwright import errors
from boxwright.cluster import cluster_share

NAMESPACE = "boxwright"
RETRY_S = 1.0
PROCESSES = pathlib.Path("/proc")  # where Linux shows them
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}  # nothing is ever sent home


@contextlib.contextmanager
def joined(address: str, patience_s: float = 0.0, when_away: Callable[[], None] = lambda: None) -> Iterator[None]:
    """A member of the cluster, as its driver.

    Args:
        address: ``HOST:PORT`` of the head, or ``auto``.
        patience_s: how long a head that does not answer is waited for: it may be about to start again.
        when_away: called about once a second meanwhile.

    Raises:
        ApiError: FAILED_PRECONDITION: the cluster takes anybody, or it has another version of Ray or Python;
            UNAVAILABLE: it does not answer, or this machine is no node of it.
    """
    cluster_share.check(address)
    os.environ.update(QUIET)
    deadline_s = time.monotonic() + patience_s
    while (missing := _missing(address)) is not None:  # ray itself would wait for minutes, and say nothing
        if time.monotonic() >= deadline_s:
            raise errors.unavailable(missing)
        when_away()
        time.sleep(RETRY_S)
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise errors.unavailable(f"The Ray cluster at {address} does not answer: {_first_line(error)}") from error
    except RuntimeError as error:  # another version, another token, or none
        raise errors.failed_precondition(
            f"The Ray cluster at {address} cannot be used: {_first_line(error)}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def is_joined() -> bool:
    """Whether this process is a member of a cluster."""
    return bool(ray.is_initialized())


def _missing(address: str) -> str | None:
    """What is not there yet, and what to do about it; None if a driver can join."""
    if not _answers(address):
        return f"The Ray cluster at {address} does not answer. Start its head, and try again."
    if not has_node():
        return (
            f"This machine is no node of the Ray cluster at {address}, and a driver needs one beside it. Run "
            f"`ray start --address={address} --num-cpus=0` on this machine, or in this pod with shareProcessNamespace."
        )
    return None


def has_node() -> bool:
    """Whether a node's raylet runs on this machine. Ray looks for one among the processes, and takes no other."""
    if not PROCESSES.is_dir():
        return True  # Ray will say
    for path in PROCESSES.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            program, *_ = path.read_bytes().split(b"\0", 1)
            if program.rpartition(b"/")[2] == b"raylet":
                return True
    return False


def _answers(address: str) -> bool:
    """Whether something listens there; a cluster that is found by this machine is not asked."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), RETRY_S).close()
    except ValueError:
        return True
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
