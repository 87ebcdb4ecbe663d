"""Peer processes, seen from the process that leads them: started at the first job that wants them, kept for the next.

Both sides send tuples over a socket pair; a peer asks, its leader answers:

    leader                                   peer
    ("job", number, job as JSON, peer)   ─►
                                          ◄─ ("more", number)                       twice, then once per chunk
    ("chunk", number, chunk) ─►                                                     chunk (number, items), or None;
                                                                                    items: [(id, failure, held)]
                                          ◄─ ("lines", number, chunk number, lines, seconds by stage)
                                                    lines: (text, status, is of one colour, candidates, is reused)
                                          ◄─ ("failed", number, code, message)      the job as a whole
                                          ◄─ ("over", number)                       all that it had is handed over
    ("stop",) ─►                                                                    end after the images at hand
                                          ◄─ ("alive", throttled)     every second; how many of its calls were so far

`number` is the job's, so that what is said about an earlier one is not taken for the present one. A peer whose leader is
gone ends; a peer that dies takes its leader along, so that the images in flight are looked for (`in_flight.suspects`).
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
from typing import Any, NoReturn, TypeAlias

from google.rpc import status_pb2

from boxwright import errors
from boxwright.batch.engine.pipeline import ResultLine
from boxwright.batch.engine.shard_assembler import ChunkSource
from boxwright.batch.job import BatchJob
from boxwright.batch.output.candidates import ImageCandidates

PEER_MODULE = "boxwright.batch.engine.peer_main"
SILENCE_MARGIN_S = 15.0  # beyond an image's own time
DEFAULT_COMMAND = (sys.executable, "-m", PEER_MODULE)

NoteTimes: TypeAlias = Callable[[int, dict[str, float]], None]

log = logging.getLogger(__name__)


def leave_with(status: int) -> NoReturn:
    """Ends this process as its peer ended: the process that started it looks for the reason."""
    os._exit(status if 0 < status < 128 else 1)


class Peer:
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
        self._source: ChunkSource | None = None
        self._note_times: NoteTimes = lambda peer, totals: None
        self._chunks_held = 0
        self._over = threading.Event()  # the peer has no job
        self._over.set()
        self._is_closing = False
        self.heard_s = time.monotonic()
        self.throttled = 0  # of its calls of stores, see `objects.throttling`
        threading.Thread(target=self._serve, name=f"peer-{index}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def begin(self, source: ChunkSource, job: BatchJob, note_times: NoteTimes) -> None:
        """Gives the peer a job."""
        with self._hearing:
            self._over.clear()
            self._number, self._source, self._chunks_held = self._number + 1, source, 0
            self._note_times = note_times
            self.heard_s = time.monotonic()
            self._send("job", self._number, job.to_json(), self.index)

    def stop(self) -> None:
        """Tells the peer to end its job after the images at hand."""
        self._send("stop")

    def leave(self) -> None:
        """Waits for the chunks that the peer has; nothing that it says about this job is heard any more."""
        if self._chunks_held:
            self._over.wait()
        with self._hearing:
            self._source = None

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
            log.error("event=peer_died peer=%d pid=%d status=%d", self.index, self._process.pid, status)
            self._on_death(status)

    def _hear(self, what: str, number: int = 0, *rest: Any) -> None:
        source = self._source if number == self._number else None
        match what, rest:
            case "more", ():
                chunk = source.next_chunk() if source is not None else None
                self._chunks_held += chunk is not None
                plain = (
                    None
                    if chunk is None
                    else (chunk.number, [(item.id, item.failure, item.held) for item in chunk.items])
                )
                self._send("chunk", number, plain)
            case "lines", (chunk_number, lines, totals) if source is not None:
                self._chunks_held -= 1
                self._note_times(self.index, totals)
                source.put(chunk_number, [_line(*parts) for parts in lines])
            case "failed", (code, message) if source is not None:
                source.fail(errors.ApiError(code, message))
            case "over", () if number == self._number:
                self._over.set()
            case "alive", ():
                self.throttled = number


class PeerPool:
    """The other processes of an inference child.

    Args:
        command: what a peer runs.
        on_death: see `Peer`.
    """

    def __init__(self, command: Sequence[str] = DEFAULT_COMMAND, on_death: Callable[[int], None] = leave_with) -> None:
        self._command = command
        self._on_death = on_death
        self._peers: list[Peer] = []
        self._at_work: list[Peer] = []

    @property
    def throttled(self) -> int:
        """How many of their calls of stores were throttled so far."""
        return sum(peer.throttled for peer in self._peers)

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [peer.pid for peer in self._peers]

    def gather(self, count: int) -> None:
        """Starts what is missing of so many peers, ends what is too many; between jobs."""
        while len(self._peers) > count:
            self._peers.pop().close()
        while len(self._peers) < count:
            self._peers.append(Peer(len(self._peers) + 1, self._command, self._on_death))

    def begin(self, source: ChunkSource, job: BatchJob, note_times: NoteTimes) -> None:
        """Gives every peer the job; see `gather`.

        Args:
            source: where chunks come from and lines go to.
            job: what one process does of it.
            note_times: called with a peer's index and the `stages.StageTimes.totals` of its process so far.
        """
        self._at_work = list(self._peers)
        for peer in self._at_work:
            peer.begin(source, job, note_times)

    def kill_silent(self, image_timeout_s: float) -> None:
        """Kills a peer that cannot even say that it is alive: native code may hang with the interpreter's lock."""
        for peer in self._at_work:
            if peer.is_silent(image_timeout_s + SILENCE_MARGIN_S):
                log.error("event=peer_silent peer=%d pid=%d", peer.index, peer.pid)
                peer.kill()

    def end(self) -> None:
        """Lets every peer end the job; returns when none has a part of it any more."""
        for peer in self._at_work:
            peer.stop()
        for peer in self._at_work:
            peer.leave()
        self._at_work = []

    def close(self) -> None:
        """Ends every process."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()


def _line(text: bytes, status: bytes | None, is_one_colour: bool, candidates: Any, is_reused: bool) -> ResultLine:
    failure = None if status is None else status_pb2.Status.FromString(status)
    row = None if candidates is None else ImageCandidates(*candidates)
    return ResultLine(text, failure, is_one_colour, row, is_reused)
