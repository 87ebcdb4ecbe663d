"""Takes events out of the outbox and delivers them: each at least once, those of one operation in their order.

An event is tried eight times within an hour, then it is given up, which the log says. A sender that dies leaves its events
to others when its claim on them has run out.
"""

from __future__ import annotations

import functools
import http.client
import json
import logging
import pathlib
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Self

import sqlalchemy as sa

from boxwright import errors, faults, objects
from boxwright.metadata import database, outbox
from boxwright.notifications import cloud_events, destinations, posting, signatures

THREADS = 4  # events under way at a time
POLL_INTERVAL_S = 1.0
CLAIM_S = 120.0  # longer than a delivery may take
PAUSES_S = (5, 15, 60, 180, 420, 900, 2000)  # after each try but the last: eight tries in 3,580 s
GONE = 410  # by which a receiver says that it wants no more
CallerGrants = Callable[[str, tuple[str, ...]], objects.Grants]

log = logging.getLogger(__name__)


class Undelivered(Exception):
    """An event did not arrive; `is_final` if it never will."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Deliveries:
    """Delivers single events.

    Args:
        allowed: the hosts that events are sent to.
        secret_of: the secret of a project.
        context: of TLS, with the authorities that receivers are checked against.
        stores: for folders of events.
        grants_of: what a member may write now; asked for events of operations with a caller.
    """

    def __init__(
        self,
        allowed: destinations.AllowedHosts,
        secret_of: Callable[[str], bytes],
        context: ssl.SSLContext,
        stores: objects.Stores,
        grants_of: CallerGrants,
    ) -> None:
        self._allowed = allowed
        self._secret_of = secret_of
        self._context = context
        self._stores = stores
        self._grants_of = grants_of

    @classmethod
    def of(
        cls,
        hosts: Sequence[str],
        authorities: pathlib.Path | None,
        secret_file: pathlib.Path,
        stores: objects.Stores,
        grants_of: CallerGrants,
    ) -> Self:
        """Makes them from the values of settings; the file of the secret is made if it is needed.

        Raises:
            ApiError: FAILED_PRECONDITION: the authorities or the secret cannot be read.
        """
        allowed = destinations.AllowedHosts.of(hosts)
        secret = signatures.read_secret(secret_file) if allowed.hosts else b""
        secret_of = functools.partial(signatures.project_secret, secret)
        return cls(allowed, secret_of, posting.tls_context(authorities), stores, grants_of)

    def deliver(self, event: sa.Row[Any]) -> None:
        """Delivers an event of the outbox. Raises Undelivered."""
        try:
            if event.destination.startswith(destinations.HTTPS):
                self._post(event)
            else:
                self._store(event)
        except errors.ApiError as error:
            raise Undelivered(error.message) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from error

    def _post(self, event: sa.Row[Any]) -> None:
        address, body = self._allowed.parse(event.destination), event.body.encode()
        signed = signatures.headers(self._secret_of(event.project), event.event_id, int(time.time()), body)
        headers = {"Content-Type": cloud_events.CONTENT_TYPE, "User-Agent": "boxwright", **signed}
        status = posting.post(address, body, headers, self._allowed, self._context)
        if not 200 <= status < 300:
            raise Undelivered(f"the receiver has answered with {status}", is_final=status == GONE)

    def _store(self, event: sa.Row[Any]) -> None:
        folder = objects.ObjectUri.parse(event.destination)
        stores = self._stores.of_project(event.project)
        if event.caller:
            stores = stores.limited_to(self._grants_of(event.caller, tuple(json.loads(event.caller_groups))), folder)
        stores.put(folder.child(f"{event.event_id}.json"), event.body.encode())


class Sender:
    """Delivers what is due, with a few threads, until it is closed.

    Args:
        db: the metadata database.
        deliver: delivers one event; raises Undelivered.
        pauses_s: seconds after each try but the last.
    """

    def __init__(
        self, db: database.Database, deliver: Callable[[sa.Row[Any]], None], pauses_s: Sequence[float] = PAUSES_S
    ) -> None:
        self._pauses_s = pauses_s
        self._poll_s = min(POLL_INTERVAL_S, *pauses_s)
        self._db = db
        self._deliver = deliver
        self._owner = f"sender-{uuid.uuid4().hex[:12]}"
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._free = threading.BoundedSemaphore(THREADS)
        self._pool = futures.ThreadPoolExecutor(THREADS, thread_name_prefix="sender")
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def wake(self) -> None:
        """Says that there may be something new."""
        self._wake.set()

    def close(self) -> None:
        """Takes nothing more, and waits for what is under way."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._free.acquire()
            event = None if self._closing.is_set() else self._claim()
            if event is None:
                self._free.release()
                self._wake.wait(self._poll_s)
                self._wake.clear()
                continue
            self._pool.submit(self._send, event)

    def _claim(self) -> sa.Row[Any] | None:
        try:
            return outbox.claim(self._db, self._owner, CLAIM_S)
        except Exception as error:  # the database may be away for a while; the thread must not die of it
            log.warning("event=outbox_not_read reason=%s", error)
            return None

    def _send(self, event: sa.Row[Any]) -> None:
        try:
            self._try(event)
        except Exception as error:  # the claim runs out, and another try follows
            log.warning("event=notification_not_noted id=%s reason=%s", event.event_id, error)
        finally:
            self._free.release()
            self._wake.set()

    def _try(self, event: sa.Row[Any]) -> None:
        try:
            self._deliver(event)
        except Undelivered as failure:
            is_last = failure.is_final or event.attempts > len(self._pauses_s)
            log.warning(
                "event=%s id=%s try=%d destination=%s reason=%s",
                "notification_given_up" if is_last else "notification_failed",
                event.event_id,
                event.attempts,
                shown(event.destination),
                failure,
            )
            if not is_last:
                outbox.put_off(self._db, event, self._pauses_s[event.attempts - 1])
                return
        faults.point("notifications.after_delivery")
        outbox.remove(self._db, event)


def shown(destination: str) -> str:
    """A destination without what may be secret in it: its path and query."""
    scheme, _, rest = destination.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/…"
