"""The members of a team, seen from the process that leads it: started at the first job that wants them, kept for the next.

Both sides send tuples over a socket pair; a member asks, its leader answers:

    leader                                   member
    ("job", number, job as JSON, member) ─►
                                          ◄─ ("more", number)                       twice, then once per chunk
    ("chunk", number, chunk) ─►                                                     chunk (number, [(id, failure)]), or None
                                          ◄─ ("lines", number, chunk number, lines, statuses, images of one colour,
                                                seconds by stage)
                                          ◄─ ("failed", number, code, message)      the job as a whole
                                          ◄─ ("over", number)                       all that it had is handed over
    ("stop",) ─►                                                                    end after the images at hand
                                          ◄─ ("alive",)                             every second

`number` is the job's, so that what is said about an earlier one is not taken for the present one. A member whose leader is
gone ends; a member that dies takes its leader along, so that the images under way are looked for (`in_flight.suspects`).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from google.rpc import status_pb2

from boxwright import errors
from boxwright.batch.job import BatchJob

if TYPE_CHECKING:
    from boxwright.batch.plan import Segment

MEMBER_MODULE = "boxwright.batch.engine.peer_main"
SILENCE_MARGIN_S = 15.0  # beyond an image's own time
DEFAULT_COMMAND = (sys.executable, "-m", MEMBER_MODULE)

log = logging.getLogger(__name__)


class Team(Protocol):
    """Who members work for."""

    def next_chunk(self) -> Segment | None: ...

    def put(
        self, number: int, lines: Sequence[bytes], statuses: Sequence[status_pb2.Status | None], one_colour: int
    ) -> None: ...

    def fail(self, error: Exception) -> None: ...

    @property
    def times(self) -> Times: ...


class Times(Protocol):
    """Who hears where the time went."""

    def note(self, member: int, spent_s: dict[str, float]) -> None: ...


def leave_with(status: int) -> NoReturn:
    """Ends this process as its member ended: whoever started it looks for the reason."""
    os._exit(status if 0 < status < 128 else 1)


class Member:
    """One process, and the thread that serves it.

    Args:
        index: from 1; the leader is 0.
        command: what to run; the number of the socket's file descriptor is added.
        on_death: called with the exit status when the process ends before it is told to.
    """

    def __init__(self, index: int, command: Sequence[str], on_death: Callable[[int], None]) -> None:
        self.index = index
        self._on_death = on_death
        self._connection, theirs = multiprocessing.Pipe()
        self._process = subprocess.Popen(
            [*command, str(theirs.fileno())], stdin=subprocess.DEVNULL, stdout=2, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._sending = threading.Lock()
        self._hearing = threading.Lock()
        self._number = 0
        self._team: Team | None = None
        self._chunks_held = 0
        self._over = threading.Event()  # the member has no job
        self._over.set()
        self._is_closing = False
        self.heard_s = time.monotonic()
        threading.Thread(target=self._serve, name=f"member-{index}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def begin(self, team: Team, job: BatchJob) -> None:
        """Gives the member a job."""
        with self._hearing:
            self._over.clear()
            self._number, self._team, self._chunks_held = self._number + 1, team, 0
            self.heard_s = time.monotonic()
            self._send("job", self._number, job.to_json(), self.index)

    def stop(self) -> None:
        """Tells the member to end its job after the images at hand."""
        self._send("stop")

    def leave(self) -> None:
        """Waits for the chunks that the member has; nothing that it says about this job is heard any more."""
        if self._chunks_held:
            self._over.wait()
        with self._hearing:
            self._team = None

    def is_silent(self, longest_s: float) -> bool:
        """Whether it has said nothing for longer than that while it has a job."""
        return not self._over.is_set() and time.monotonic() - self.heard_s > longest_s

    def kill(self) -> None:
        """Kills the process; its end is noticed as any other."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process."""
        self._is_closing = True
        self._over.set()
        self._process.kill()
        self._process.wait()

    def _send(self, *message: Any) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            pass  # it has died: the serving thread finds out

    def _serve(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                self.heard_s = time.monotonic()
                with self._hearing:
                    self._hear(*message)
        except (EOFError, OSError):
            status = self._process.wait()
        self._over.set()
        if not self._is_closing:
            log.error("event=member_died member=%d pid=%d status=%d", self.index, self._process.pid, status)
            self._on_death(status)

    def _hear(self, what: str, number: int = 0, *rest: Any) -> None:
        team = self._team if number == self._number else None
        match what, rest:
            case "more", ():
                chunk = team.next_chunk() if team is not None else None
                self._chunks_held += chunk is not None
                plain = None if chunk is None else (chunk.shard, [(item.id, item.failure) for item in chunk.items])
                self._send("chunk", number, plain)
            case "lines", (chunk_number, lines, statuses, one_colour, spent_s) if team is not None:
                self._chunks_held -= 1
                team.times.note(self.index, spent_s)
                failures = [text and status_pb2.Status.FromString(text) for text in statuses]
                team.put(chunk_number, lines, failures, one_colour)
            case "failed", (code, message) if team is not None:
                team.fail(errors.ApiError(code, message))
            case "over", () if number == self._number:
                self._over.set()


class Members:
    """The other processes of an inference child.

    Args:
        command: what a member runs.
        on_death: see `Member`.
    """

    def __init__(self, command: Sequence[str] = DEFAULT_COMMAND, on_death: Callable[[int], None] = leave_with) -> None:
        self._command = command
        self._on_death = on_death
        self._members: list[Member] = []
        self._at_work: list[Member] = []

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [member.pid for member in self._members]

    def gather(self, count: int) -> None:
        """Starts what is missing of so many members, ends what is too many; between jobs."""
        while len(self._members) > count:
            self._members.pop().close()
        while len(self._members) < count:
            self._members.append(Member(len(self._members) + 1, self._command, self._on_death))

    def begin(self, team: Team, job: BatchJob) -> None:
        """Gives every member the job; see `gather`."""
        self._at_work = list(self._members)
        for member in self._at_work:
            member.begin(team, job)

    def look(self, image_timeout_s: float) -> None:
        """Kills a member that cannot even say that it is alive: native code may hang with the interpreter's lock."""
        for member in self._at_work:
            if member.is_silent(image_timeout_s + SILENCE_MARGIN_S):
                log.error("event=member_silent member=%d pid=%d", member.index, member.pid)
                member.kill()

    def end(self) -> None:
        """Lets every member end the job; returns when none has a part of it any more."""
        for member in self._at_work:
            member.stop()
        for member in self._at_work:
            member.leave()
        self._at_work = []

    def close(self) -> None:
        """Ends every process."""
        for member in self._members:
            member.close()
        self._members.clear()
