"""Work whose events are noted, by processes that are killed at any moment: ``python -m … DATABASE KILLS``.

A parent without threads forks, so that a thousand processes take minutes and not an hour.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
import signal
import sys
import threading
import uuid

from google.protobuf import empty_pb2
from tests.support.operations.ledgers import Kind, draft

from boxwright.metadata import database
from boxwright.notifications.event_notes import EventNotes
from boxwright.operations.ledger import Ledger
from boxwright.operations.records import Terms


def work(place: pathlib.Path) -> None:
    """Starts, claims and finishes operations until it is killed."""
    ledger = Ledger(database.Database(place), lease_ttl_s=1, note_event=EventNotes(lambda row: {"name": row.id}).note)
    while True:
        made = dataclasses.replace(draft(uuid.uuid4().hex, Kind.BATCH_PREDICT), terms=Terms(notify=("https://x",)))
        with ledger._db.write() as connection:
            ledger.start(connection, made)
        claimed = ledger.claim([Kind.BATCH_PREDICT], "w")
        if claimed is not None:
            ledger.finish(claimed.lease, lambda connection: empty_pb2.Empty())


def main() -> None:
    """Kills one process after another."""
    place, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    chance, pause = random.Random(20), threading.Event()
    before = 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            work(place)
        while (found := _count(place)) < before + 1:  # it has got somewhere
            pause.wait(0.002)
        before = found
        pause.wait(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        before = _count(place)
    print(f"{kills} kills")


def _count(place: pathlib.Path) -> int:
    """Operations that there are; by SQLite's own driver, as the parent must hold nothing that a child gets."""
    import sqlite3

    connection = sqlite3.connect(place)
    try:
        return int(connection.execute("SELECT count(*) FROM operations").fetchone()[0])
    finally:
        connection.close()


if __name__ == "__main__":
    main()
