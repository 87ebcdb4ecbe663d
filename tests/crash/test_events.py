"""Events and kills: a service that dies after a delivery delivers again; a process that dies anywhere loses no event."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys

import pytest
import sqlalchemy as sa
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.operations import noted_ends
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.services.receiver import Receiver

from boxwright import states
from boxwright.metadata import database
from boxwright.metadata.schema import operations, outbox


@pytest.mark.full  # tests/contract/test_events.py has the take-over without a service
def test_an_event_whose_sender_dies_after_the_delivery_comes_again(
    service_factory, tiny_model: TinyModel, tmp_path: pathlib.Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with Receiver(tmp_path) as receiver:
        environment = {
            **crashes.ENVIRONMENT,
            "BOXWRIGHT_NOTIFY_HOSTS": f"localhost:{receiver.port},127.0.0.1,::1",
            "BOXWRIGHT_NOTIFY_CA": str(receiver.ca_file),
            "BOXWRIGHT_FAULTS": "notifications.after_delivery:kill",
            "BOXWRIGHT_FAULTS_ONCE": str(marks),
        }
        service = service_factory(environment)
        bucket = service.bucket("b")
        names = drawn_images.write_images(bucket, 2)
        drawn_images.write_csv(bucket, "list.csv", [f"gs://b/{name}" for name in names])
        model = tiny_model.install(service.data_dir)
        with open_api(service) as api:
            operation = api.start_batch(model, "gs://b/list.csv", "gs://b/out/", notify=f"{receiver.url}/")
        wait_until(lambda: service.process.poll() is not None, "the sender's death")
        crashes.kill(service)
        _let_claims_run_out(service.data_dir)
        service = service_factory(environment)
        with open_api(service) as api:
            assert not api.finished(operation).HasField("error")
        operation_id = operation.rpartition("/")[2]
        wait_until(lambda: f"{operation_id}-succeeded" in receiver.ids(), "the end")
    assert receiver.ids() == [f"{operation_id}-started"] * 2 + [f"{operation_id}-succeeded"]
    assert receiver.received[0].body == receiver.received[1].body


@pytest.mark.parametrize("kills", [5, pytest.param(1000, marks=pytest.mark.full)])
def test_no_kill_parts_a_state_from_its_event(tmp_path: pathlib.Path, kills: int) -> None:
    place = tmp_path / "metadata.sqlite"
    database.Database(place).close()
    command = [sys.executable, "-m", noted_ends.__name__, str(place), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{kills} kills" in done.stdout, done.stdout + done.stderr
    db = database.Database(place)
    with contextlib.closing(db), db.read() as connection:
        rows = connection.execute(sa.select(operations.c.id, operations.c.state, operations.c.lease_epoch)).all()
        noted = set(connection.execute(sa.select(outbox.c.event_id)).scalars())
    wanted = {f"{row.id}-started" for row in rows if row.lease_epoch}
    wanted |= {f"{row.id}-succeeded" for row in rows if row.state == states.OperationState.SUCCEEDED}
    assert noted == wanted and len(rows) >= kills


def _let_claims_run_out(data_dir: pathlib.Path) -> None:
    db = database.Database(data_dir / "metadata.sqlite")
    with contextlib.closing(db), db.write() as connection:
        connection.execute(outbox.update().values(next_us=0))
