"""The child whose engine is the cluster: ``python -m boxwright.cluster.driver_main``. It runs many jobs at the same time.

Its lines are those of `batch.child_main`, each behind the number of a job's channel; its events name their channel. When the
cluster's head goes, Ray ends this process, and not the one that holds leases.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

from ray.exceptions import RayError

from boxwright import errors, faults, processes
from boxwright.batch import child_main
from boxwright.batch.channels import DROP, parsed
from boxwright.batch.child_main import EngineParts, JobEngine
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob, command_from_json
from boxwright.cluster import connection
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine

HOST_VARIABLES = (faults.VARIABLE, faults.ONCE_VARIABLE)
HEAD_PATIENCE_S = 600.0  # a head is started again, perhaps on another machine
ALIVE_S = 1.0
CLUSTER_LOST = 4  # status of a driver that cannot reach its cluster any more

log = logging.getLogger("boxwright.cluster.driver_main")


class StoppedError(Exception):
    """The job is to end before it has begun."""


class ClusterConnection:
    """The driver's place in the cluster: joined by the main thread when a job first needs it."""

    def __init__(self, share: ClusterShare) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._pool: futures.Future[HostPool] | None = None
        self._asked: queue.SimpleQueue[futures.Future[HostPool]] = queue.SimpleQueue()
        self._kept = contextlib.ExitStack()

    def pool(self, while_waiting: Callable[[], None]) -> HostPool:
        """The hosts of all jobs; called by a job's thread.

        Args:
            while_waiting: called about once a second.

        Raises:
            ApiError: see `connection.joined`; the next job asks again.
        """
        with self._lock:
            if self._pool is None or (self._pool.done() and self._pool.exception() is not None):
                self._pool = futures.Future()
                self._asked.put(self._pool)
            pool = self._pool
        while True:
            with contextlib.suppress(futures.TimeoutError):
                return pool.result(ALIVE_S)
            while_waiting()

    def serve(self) -> None:
        """Joins the cluster whenever it is asked for; Ray wants this in the main thread. Never returns."""
        while True:
            asked = self._asked.get()
            try:
                self._kept.enter_context(connection.joined(self._share.address, HEAD_PATIENCE_S))
            except Exception as error:  # it belongs to who has asked
                asked.set_exception(error)
                continue
            environment = {name: os.environ[name] for name in HOST_VARIABLES if name in os.environ}
            asked.set_result(HostPool(self._share, environment))


class RunningJob:
    """One job, in a thread of its own.

    Args:
        channel: of its events.
        member: gives it hosts.
    """

    def __init__(self, channel: int, member: ClusterConnection) -> None:
        self._events = Events(channel)
        self._member = member
        self._stopping = threading.Event()
        self._engine: RayEngine | None = None

    def start(self, line: str, ended: Callable[[], None]) -> None:
        """Begins with the job of a line; `ended` is called at its end."""
        threading.Thread(target=self._run, args=(line, ended), name="job", daemon=True).start()

    def stop(self) -> None:
        """Lets it end in good order."""
        self._stopping.set()

    def drop(self) -> None:
        """Ends what hosts are at for it at once: nobody listens any more."""
        self._stopping.set()
        if self._engine is not None:
            self._engine.abandon()

    def _run(self, line: str, ended: Callable[[], None]) -> None:
        try:
            command = command_from_json(line)
            if not isinstance(command, BatchJob):
                raise TypeError("a cluster runs whole jobs")
            child_main.run_job(command, LoadedModels(), PeerPool(), self._events, self._stopping, self._opened)
        except errors.ApiError as error:
            self._events.say("error", code=error.code, message=error.message, row_failures=[])
        except StoppedError:
            self._events.say("stopped")
        except (RayError, ConnectionError):  # the cluster is away, for all jobs: the next driver waits for it
            log.exception("event=cluster_lost")
            os._exit(CLUSTER_LOST)
        except Exception as error:  # of this job alone: the others go on
            log.exception("event=job_died")
            self._events.say("died", reason=f"{type(error).__name__}: {error}")
        finally:
            ended()

    @contextlib.contextmanager
    def _opened(self, parts: EngineParts) -> Iterator[JobEngine]:
        """The cluster as an engine.

        Raises:
            ApiError: the cluster cannot be used.
            StoppedError: the job is to end.
        """
        pool = self._member.pool(self._wait)
        self._engine = RayEngine(parts.job, parts.stores, parts.sink, pool, parts.note_use)
        yield self._engine

    def _wait(self) -> None:
        if self._stopping.is_set():
            raise StoppedError
        self._events.say("alive")


def read_commands(member: ClusterConnection) -> None:
    """Standard input: begins, stops and drops jobs; ends the process at its end."""
    jobs: dict[int, RunningJob] = {}
    for line in sys.stdin:
        channel, command = parsed(line)
        job = jobs.get(channel)
        if command == DROP:
            if job is not None:
                job.drop()
        elif command == "stop":
            if job is not None:
                job.stop()
        else:
            jobs[channel] = RunningJob(channel, member)
            jobs[channel].start(command, functools.partial(jobs.__delitem__, channel))
    os._exit(0)  # the service is gone or wants us gone; shards are whole or absent, nothing needs tidying


def main() -> None:
    """Runs jobs until standard input ends."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    member = ClusterConnection(ClusterShare.of_environment())
    Events().say("ready", pid=os.getpid())
    threading.Thread(target=read_commands, args=(member,), name="commands", daemon=True).start()
    member.serve()


if __name__ == "__main__":
    processes.end_quickly()
    main()
