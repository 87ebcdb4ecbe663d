"""Child processes that speak JSON lines: spawned, told, listened to, stopped.

A child reads commands on its standard input and writes events on its standard output, one JSON object a line; what it
writes on standard error goes to the service's log. A child ends itself when its input ends, so that no child outlives a
killed service.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import logging
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CHILD_NICENESS = 19  # heavy work runs at the lowest priority, far below the API servers and online prediction
NICENESS_VARIABLE = "BOXWRIGHT_CHILD_NICENESS"  # another choice, which children hand on to theirs
# The C library gives threads heaps of their own, which free little back; two are enough for threads that compute outside it.
FEW_HEAPS = {"MALLOC_ARENA_MAX": "2"}
_PR_SET_PDEATHSIG = 1  # prctl(2)
STOP_GRACE_S = 3.0  # a cancelled operation ends within 5 s: this much for an orderly stop, then the child is killed

# What a child inherits of the environment. Secrets of the service, such as the database's URL, are in none of these; the
# variables of the stores that it reads come on top (`objects.StoreConfig.variables`). A name that ends in _ is a prefix.
INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TZ", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE", "LC_", "XDG_",
    "VIRTUAL_ENV", "COVERAGE_", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_", "MALLOC_", "GLIBC_TUNABLES",
    # numeric libraries
    "OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "VECLIB_", "NUMEXPR_", "ONEDNN_", "DNNL_", "OV_", "OPENVINO_", "ORT_",
    "CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_", "TORCH_", "PYTORCH_", "ATEN_", "TRITON_", "NNCF_",
    # what tests inject, and what children hand on
    "BOXWRIGHT_FAULTS", "BOXWRIGHT_FAULTS_ONCE", NICENESS_VARIABLE,
)  # fmt: skip

log = logging.getLogger(__name__)


def inherited(environment: Mapping[str, str], more: Sequence[str] = ()) -> dict[str, str]:
    """The variables that a child process gets of this one's.

    Args:
        environment: this process's.
        more: names, and prefixes that end in ``_``, beyond `INHERITED`.
    """
    wanted = (*INHERITED, *more)
    names = frozenset(wanted)
    prefixes = ("PYTHON", *(name for name in wanted if name.endswith("_")))
    return {name: text for name, text in environment.items() if name in names or name.startswith(prefixes)}


class ChildExitError(Exception):
    """The child ended without saying that it was done."""


def set_niceness(niceness: int) -> None:
    """Chooses the priority of the children that this process starts from now on, and of theirs.

    Args:
        niceness: from 0, that of the service itself, to 19, the lowest.
    """
    os.environ[NICENESS_VARIABLE] = str(niceness)


def child_niceness() -> int:
    """What was chosen, or `CHILD_NICENESS`."""
    return int(os.environ.get(NICENESS_VARIABLE, CHILD_NICENESS))


def end_quickly() -> None:
    """Lets this process end without a search for cycles among all of its objects: the system takes their memory back anyway.

    The search takes a fifth of the processor time of a command or a service that starts and ends. A file that is in a cycle
    is not flushed by it: whoever opens one closes it.
    """
    atexit.register(gc.freeze)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Lets imports make their objects, which stay, without searches for cycles among them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def end_with_parent() -> None:
    """Lets Linux kill this process when the thread that started it is gone: one that hangs in native code cannot notice."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A running child process.

    Args:
        module: the module to run, as in ``python -m``.
        arguments: its command line arguments.
        environment: variables to add to those that are `inherited`.
        variables: names and prefixes of more variables to inherit.
        umask: of the process; -1: this one's.
        is_nice: whether it gets the low priority of children, `child_niceness`, and a session of its own; otherwise it has
            this process's priority and session: where Linux weighs sessions against each other, what passes between the two
            waits for no turn of others.
        pass_fds: file descriptors that it inherits under the same numbers.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        *,
        variables: Sequence[str] = (),
        umask: int = -1,
        is_nice: bool = True,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**inherited(os.environ, variables), **(environment or {})},
            umask=umask,
            pass_fds=tuple(pass_fds),
            start_new_session=is_nice,  # a Ctrl-C at the terminal is the service's to handle,
            process_group=None if is_nice else 0,  # and goes to the process group
        )
        if is_nice:
            self._lower_priority()
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read_events, name=f"{module}-events", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, command: dict[str, Any]) -> None:
        """Sends one command. Raises ChildExitError if the child is gone."""
        self.send_line(json.dumps(command))

    def send_line(self, line: str) -> None:
        """Sends one line of text. Raises ChildExitError if the child is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ChildExitError(self.epitaph()) from error

    def next_event(self, timeout_s: float) -> dict[str, Any] | None:
        """Returns the next event, or None if none came in time. Raises ChildExitError at the end of its output."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if event is None:
            self._events.put(None)  # a later caller learns it too
            raise ChildExitError(self.epitaph())
        return event

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Says ``stop``, closes the input, waits a moment, then kills; afterwards the process is gone."""
        with contextlib.suppress(ChildExitError):
            self.send_line("stop")
        self.close(grace_s)

    def close(self, grace_s: float = STOP_GRACE_S) -> None:
        """Waits `grace_s` for the child to end by itself, then closes its input and kills it."""
        assert self._process.stdin is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def epitaph(self) -> str:
        """How the process ended, in words."""
        code = self._process.poll()
        how = "was killed by signal" if code is not None and code < 0 else "ended with status"
        return f"the child process {self.module} (pid {self.pid}) {how} {abs(code) if code is not None else 'unknown'}"

    def _lower_priority(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, child_niceness())
            # Linux may weigh sessions against each other before processes: then the child's session has to be nice too
            pathlib.Path(f"/proc/{self.pid}/autogroup").write_text(str(child_niceness()))

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    log.warning("event=child_noise module=%s line=%r", self.module, line[:500])
                    continue
                self._events.put(event)
        self._process.wait()
        self._events.put(None)
