"""One child process that runs many jobs at the same time, as children that each run one.

A line of the child is that of an inference child behind the number of a channel, and each of its events names its channel.
Jobs that such a child does not take go to inference children of this machine.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from boxwright.batch.child_pool import JOB_ENDS, Children, InferenceChild, JobChild
from boxwright.batch.job import BatchJob, command_from_json
from boxwright.processes import Child, ChildExitError

DROP = "drop"  # ends a job that nobody listens to any more
HUNG_S = 10.0  # a child with jobs says something every second; one that does not for so long is ended
POLL_S = 0.5


def parsed(line: str) -> tuple[int, str]:
    """(channel, command) of a line. Raises ValueError."""
    channel, _, command = line.rstrip("\n").partition(" ")
    return int(channel), command


class ChannelChildren(Children):
    """Like `Children`; whole jobs share one child.

    Args:
        variables: names and prefixes of environment variables that the children need.
        module: that the child of many jobs runs.
        environment: variables that are added to its own.
    """

    def __init__(self, variables: Sequence[str], module: str, environment: Mapping[str, str]) -> None:
        super().__init__(variables)
        self._new_shared = lambda: _SharedChild(InferenceChild(variables, module, environment))
        self._shared: _SharedChild | None = None
        self._shared_lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self, model_folder: str) -> Iterator[JobChild]:
        """Lends a channel, or an inference child: which is known by the first line. See `Children.borrow`."""
        with contextlib.ExitStack() as lent:

            def chosen(line: str) -> JobChild:
                if not is_shared(line):
                    return lent.enter_context(super(ChannelChildren, self).borrow(model_folder))
                channel = self._sharing().opened()
                lent.callback(channel.end)
                return channel

            yield _ChosenChild(chosen)

    @property
    def count(self) -> int:
        """How many children there are, at work or not."""
        with self._shared_lock:
            return super().count + int(self._shared is not None and self._shared.is_alive())

    def close(self) -> None:
        """Ends every child."""
        super().close()
        with self._shared_lock:
            if self._shared is not None:
                self._shared.close()

    def _sharing(self) -> _SharedChild:
        with self._shared_lock:
            if self._shared is None or not self._shared.is_alive():
                self._shared = self._new_shared()
            return self._shared


def is_shared(line: str) -> bool:
    """Whether a command goes to the child of many jobs: a job that predicts, and takes no former results over."""
    command = command_from_json(line)
    return isinstance(command, BatchJob) and not command.spec.base and not command.spec.reads_manifests


class _ChosenChild:
    """A child that is chosen by the first line that is sent to it."""

    def __init__(self, chosen: Callable[[str], JobChild]) -> None:
        self._chosen = chosen
        self._child: JobChild | None = None

    @property
    def pid(self) -> int:
        return 0 if self._child is None else self._child.pid

    def send_line(self, line: str) -> None:
        if self._child is None:
            self._child = self._chosen(line)
        self._child.send_line(line)

    def next_event(self, timeout_s: float) -> dict[str, Any] | None:
        assert self._child is not None
        return self._child.next_event(timeout_s)

    def close(self, grace_s: float) -> None:
        if self._child is not None:
            self._child.close(grace_s)


class _Channel:
    """One job's part of a child of many."""

    def __init__(self, shared: _SharedChild, number: int) -> None:
        self._shared, self._number = shared, number
        self._is_busy = False
        self.events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    @property
    def pid(self) -> int:
        return self._shared.child.pid

    def send_line(self, line: str) -> None:
        self._is_busy = self._is_busy or line != "stop"
        self._shared.send(self._number, line)

    def next_event(self, timeout_s: float) -> dict[str, Any] | None:
        try:
            event = self.events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if event is None:
            self.events.put(None)  # a later caller learns it too
            self._is_busy = False
            raise ChildExitError(self._shared.child.epitaph())
        if event["event"] == "died":
            self._is_busy = False
            raise ChildExitError(f"a job of the child process {self._shared.child.module} died: {event['reason']}")
        self._is_busy = self._is_busy and event["event"] not in JOB_ENDS
        return event

    def close(self, grace_s: float) -> None:
        """Ends the job, or the child if it hangs, and all of its jobs with it: others are tried again."""
        if self._shared.silent_s > HUNG_S:
            self._shared.close()
        elif self._is_busy:
            with contextlib.suppress(ChildExitError):
                self._shared.send(self._number, DROP)
        self._is_busy = False

    def end(self) -> None:
        """Nobody listens any more."""
        self.close(0)
        self._shared.forget(self._number)


class _SharedChild:
    """A child process, and the channels of its jobs."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._channels: dict[int, _Channel] = {}
        self._heard_s = time.monotonic()
        threading.Thread(target=self._follow, name="channels", daemon=True).start()

    @property
    def silent_s(self) -> float:
        """For how long it has said nothing."""
        return time.monotonic() - self._heard_s

    def is_alive(self) -> bool:
        return self.child.is_alive()

    def opened(self) -> _Channel:
        with self._lock:
            number = next(self._numbers)
            self._channels[number] = _Channel(self, number)
            return self._channels[number]

    def forget(self, number: int) -> None:
        with self._lock:
            self._channels.pop(number, None)

    def send(self, number: int, line: str) -> None:
        if line not in ("stop", DROP):
            self._heard_s = time.monotonic()  # one without a job has nothing to say
        with self._lock:  # lines stay whole
            self.child.send_line(f"{number} {line}")

    def close(self) -> None:
        self.child.close(grace_s=0)

    def _follow(self) -> None:
        """Gives each channel its events, in a thread, for as long as the child lives."""
        while True:
            try:
                event = self.child.next_event(POLL_S)
            except ChildExitError:
                self.child.close(grace_s=0)  # its input is open yet
                break
            if event is None:
                continue
            self._heard_s = time.monotonic()
            with self._lock:
                channel = self._channels.get(event.pop("channel", 0))
            if channel is not None:
                channel.events.put(event)
        with self._lock:
            for channel in self._channels.values():
                channel.events.put(None)
