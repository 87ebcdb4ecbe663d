"""Events on both databases: put with the state, sent in order by one of many senders, tried again, given up."""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import ssl
from concurrent import futures

import pytest
import sqlalchemy as sa
from google.protobuf import empty_pb2
from google.rpc import code_pb2
from tests.support.machine.ports import free_port
from tests.support.machine.waiting import wait_until
from tests.support.operations.ledgers import LOCATION, Kind, draft
from tests.support.services.receiver import Receiver

from boxwright import callers, errors, objects
from boxwright.metadata import database, outbox, schema
from boxwright.notifications import cloud_events, destinations, event_notes, posting, sender, signatures
from boxwright.operations import records
from boxwright.operations.ledger import Ledger

QUICK = (0.05,) * 7
SECRET = b"s" * 32


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


@pytest.fixture
def ledger(db):
    notes = event_notes.EventNotes(lambda row: {"name": row.id, "state": row.state})
    return Ledger(db, lease_ttl_s=10, note_event=notes.note)


def start(
    ledger: Ledger, operation_id: str, *notify: str, caller: str = "", error: errors.ApiError | None = None
) -> None:
    made = dataclasses.replace(
        draft(operation_id, Kind.BATCH_PREDICT), terms=records.Terms(notify=notify), caller=callers.Caller(caller)
    )
    with ledger._db.write() as connection:
        ledger.start(connection, made, error)


def run(ledger: Ledger, outcome=lambda connection: empty_pb2.Empty()) -> None:
    ledger.finish(ledger.claim([Kind.BATCH_PREDICT], "w").lease, outcome)


def events(db: database.Database) -> list[str]:
    with db.read() as connection:
        order = (schema.outbox.c.operation_id, schema.outbox.c.position)
        return list(connection.execute(sa.select(schema.outbox.c.event_id).order_by(*order)).scalars())


def deliveries(receiver: Receiver, buckets: pathlib.Path, grants_of=None) -> sender.Deliveries:
    allowed = destinations.AllowedHosts.of([f"localhost:{receiver.port}", "127.0.0.1", "::1"])
    stores = objects.Stores(buckets, buckets / "state")
    context = posting.tls_context(receiver.ca_file)
    return sender.Deliveries(allowed, lambda project: SECRET + project.encode(), context, stores, grants_of)


def test_a_state_and_its_event_are_written_together_or_not_at_all(db, ledger):
    start(ledger, "nobody")
    start(ledger, "at-once", "https://x", error=errors.not_found())
    start(ledger, "waits", "https://x", "https://y")
    ledger.request_cancel(LOCATION.operation("waits"))
    start(ledger, "works", "https://x")
    start(ledger, "fails", "https://x")
    run(ledger)
    run(ledger)

    def interrupted(connection: sa.Connection) -> empty_pb2.Empty:
        raise OSError("killed here")

    claimed = ledger.claim([Kind.BATCH_PREDICT], "w")
    with pytest.raises(OSError, match="killed"):
        ledger.finish(claimed.lease, interrupted)
    assert events(db) == [
        "at-once-failed", "fails-started", "waits-cancelled", "waits-cancelled", "works-started", "works-succeeded",
    ]  # fmt: skip
    ledger.finish(claimed.lease, errors.not_found().status)
    assert "fails-failed" in events(db) and not any(event.startswith("nobody") for event in events(db))


def test_events_arrive_in_their_order_once_the_receiver_is_up(db, ledger, tmp_path):
    port = free_port()
    with Receiver(tmp_path, port) as down:
        pass  # its authority is there, and nobody listens
    start(ledger, "IOD1", f"https://localhost:{port}/hook?a=b")
    sending = sender.Sender(db, deliveries(down, tmp_path).deliver, QUICK)
    sending.start()
    try:
        run(ledger)
        tries = sa.select(schema.outbox.c.attempts).where(schema.outbox.c.position == 0)

        def tried() -> bool:
            with db.read() as connection:
                return connection.execute(tries).scalar_one() >= 2

        wait_until(tried, "two tries")
        with Receiver(tmp_path, port) as up:
            sending.wake()
            wait_until(lambda: len(up.received) == 2, "both events")
            wait_until(lambda: not events(db), "an empty outbox")
    finally:
        sending.close()
    assert up.ids() == ["IOD1-started", "IOD1-succeeded"]
    for one, word in zip(up.received, ("started", "succeeded"), strict=True):
        event = json.loads(one.body)
        assert one.path == "/hook?a=b" and one.headers["content-type"] == cloud_events.CONTENT_TYPE
        assert event["type"] == f"boxwright.operation.{word}" and event["subject"] == str(LOCATION.operation("IOD1"))
        assert (event["specversion"], event["id"]) == ("1.0", one.headers["webhook-id"])
        signed = signatures.headers(
            SECRET + b"p", one.headers["webhook-id"], int(one.headers["webhook-timestamp"]), one.body
        )
        assert signed["webhook-signature"] == one.headers["webhook-signature"]
        assert base64.b64decode(one.headers["webhook-signature"].removeprefix("v1,"))


def test_what_is_refused_eight_times_is_given_up_and_the_next_event_follows(db, ledger, tmp_path):
    with Receiver(tmp_path) as receiver:
        receiver.status = 500
        start(ledger, "IOD1", f"{receiver.url}/")
        run(ledger)
        sending = sender.Sender(db, deliveries(receiver, tmp_path).deliver, QUICK)
        sending.start()
        try:
            wait_until(lambda: not events(db), "an empty outbox")
        finally:
            sending.close()
    assert receiver.ids() == ["IOD1-started"] * 8 + ["IOD1-succeeded"] * 8
    assert len(sender.PAUSES_S) == 7 and 3000 < sum(sender.PAUSES_S) <= 3600


@pytest.mark.parametrize(("status", "tries"), [(302, 8), (410, 1), (204, 1)])
def test_redirects_are_not_followed_and_who_is_gone_is_asked_once(db, ledger, tmp_path, status, tries):
    with Receiver(tmp_path) as receiver:
        receiver.status, receiver.location = status, f"{receiver.url}/elsewhere"
        start(ledger, "IOD1", f"{receiver.url}/", error=errors.not_found())
        sending = sender.Sender(db, deliveries(receiver, tmp_path).deliver, QUICK)
        sending.start()
        try:
            wait_until(lambda: not events(db), "an empty outbox")
        finally:
            sending.close()
    assert [one.path for one in receiver.received] == ["/"] * tries


def test_of_many_senders_one_has_an_event(db, ledger):
    for number in range(20):
        start(ledger, f"IOD{number}", "https://x", error=errors.not_found())
    with futures.ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda number: outbox.claim(db, f"s{number % 4}", 60), range(24)))
    taken = [one.event_id for one in claims if one is not None]
    while (one := outbox.claim(db, "late", 60)) is not None:
        taken.append(one.event_id)
    assert len(taken) == len(set(taken)) == 20


def test_what_a_dead_sender_had_is_taken_over_and_is_not_the_dead_ones_any_more(db, ledger):
    start(ledger, "IOD1", "https://x", error=errors.not_found())
    dead = outbox.claim(db, "dead", -1)
    heir = outbox.claim(db, "heir", 60)
    assert (dead.event_id, dead.attempts, heir.attempts) == (heir.event_id, 1, 2)
    outbox.remove(db, dead)
    outbox.put_off(db, dead, 0)
    assert events(db) == ["IOD1-failed"] and outbox.claim(db, "third", 60) is None
    outbox.remove(db, heir)
    assert events(db) == []


def test_a_folder_gets_events_that_its_caller_may_write(db, ledger, tmp_path):
    (tmp_path / "b").mkdir()
    denied = errors.ApiError(code_pb2.PERMISSION_DENIED, "The account is disabled.")

    def grants_of(member: str, groups: tuple[str, ...]) -> objects.Grants:
        if member != "user:a@b.c":
            raise denied
        return objects.Grants("a@b.c", (objects.Grant("gs", "b", "mine/", False, True),))

    with Receiver(tmp_path) as receiver:
        start(ledger, "IOD1", "gs://b/mine/events/", "gs://b/other/", caller="user:a@b.c", error=errors.not_found())
        start(ledger, "IOD2", "gs://b/mine/events/", caller="user:gone@b.c", error=errors.not_found())
        sending = sender.Sender(db, deliveries(receiver, tmp_path, grants_of).deliver, QUICK)
        sending.start()
        try:
            wait_until(lambda: not events(db), "an empty outbox")
        finally:
            sending.close()
    assert [str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*.json")] == [
        "mine/events/IOD1-failed.json"
    ]


def test_a_receiver_with_another_certificate_gets_nothing(db, ledger, tmp_path):
    with Receiver(tmp_path) as receiver:
        delivering = deliveries(receiver, tmp_path)
        delivering._context = ssl.create_default_context()
        start(ledger, "IOD1", f"{receiver.url}/", error=errors.not_found())
        with pytest.raises(sender.Undelivered, match="CERTIFICATE_VERIFY_FAILED"):
            delivering.deliver(outbox.claim(db, "s", 60))
    assert receiver.received == []


def test_an_event_has_a_bound():
    data = {"input_uris": ["gs://b/" + "x" * 4000] * 20, "state": "FAILED"}
    made = cloud_events.text(LOCATION.operation("IOD1"), "failed", 0, data)
    assert len(made) <= cloud_events.MAX_BYTES and json.loads(made)["data"] == {"state": "FAILED"}
    assert json.loads(made)["time"] == "1970-01-01T00:00:00.000Z"
