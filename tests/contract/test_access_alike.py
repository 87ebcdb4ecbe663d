"""What is another's costs the service the same work as what is not there: the same statements, and the same steps."""

from __future__ import annotations

import collections
import dataclasses
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.contract import test_access_matrix as matrix
from tests.support.access.credentials import Account, Registry
from tests.support.predictions.tiny_model import MODEL_ID, TinyModel

from boxwright import composition, errors
from boxwright.settings import reading
from boxwright.surface import dispatch

B, A = "projects/demo/locations/us-central1", "projects/a-project/locations/us-central1"
STEPS = 10  # of SQLite's machine: a row that is found takes up to seven more than none; a short statement has twenty
DATASET = {"dataset": {"display_name": "d", "image_object_detection_dataset_metadata": {}}}


class Work:
    """Counts what SQLite is asked and how many steps of its machine that takes, in this process."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.steps = 0

    def connected(self, connection: sqlite3.Connection, _: Any) -> None:
        connection.set_progress_handler(self._step, 1)

    def asked(self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        self.statements.append(statement)

    def _step(self) -> int:
        self.steps += 1
        return 0

    def take(self) -> tuple[list[str], int]:
        """What has been done since this was asked last."""
        found = (self.statements, self.steps)
        self.statements, self.steps = [], 0
        return found


@dataclasses.dataclass
class House:
    """A service in this process, without its worker: B has a dataset, a model and an operation, A a project of its own."""

    dispatcher: dispatch.Dispatcher
    token: str
    dataset: str
    operation: str
    model: str
    work: Work

    def call(self, rpc: str, fields: dict[str, Any]) -> tuple[int, str, list[str], int]:
        """Answers a call of A: the code, the message, the statements and the steps."""
        row = matrix.ROWS[rpc]
        self.work.take()
        try:
            caller = self.dispatcher.admit(row.dotted_name, [("authorization", f"Bearer {self.token}")])
            assert caller is not None
            self.dispatcher.call(row, matrix.request_of(row, fields), caller)
            code, text = 0, ""
        except errors.ApiError as error:
            code, text = int(error.code), error.message
        return code, text, *self.work.take()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, tiny_model: TinyModel) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("alike")
    (folder / "buckets").mkdir()
    tiny_model.install(folder / "data")
    work = Work()
    sa.event.listen(sa.Engine, "connect", work.connected)
    sa.event.listen(sa.Engine, "before_cursor_execute", work.asked)
    unlimited = dict.fromkeys(("quota_requests_per_minute", "quota_models_per_minute"), 0)
    settings = reading.read(
        {}, access="required", data_dir=folder / "data", buckets_dir=folder / "buckets", worker=False, **unlimited
    )
    parts = composition.build_service(settings)
    registry = Registry(folder / "data" / "metadata.sqlite")
    try:
        admin, a = registry.account("admin"), registry.account("owner-of-a", "a-project")
        registry.grant(admin.member, "roles/boxwright.admin", "installation")
        registry.grant(a.member, "roles/owner", "projects/a-project")
        built = House(parts.dispatcher, registry.token(admin), "", "", f"{B}/models/{MODEL_ID}", work)
        yield dataclasses.replace(built, **_filled(built, registry, admin), token=registry.token(a))
    finally:
        sa.event.remove(sa.Engine, "connect", work.connected)
        sa.event.remove(sa.Engine, "before_cursor_execute", work.asked)
        registry.close()
        parts.worker.close()


def _filled(house: House, registry: Registry, admin: Account) -> dict[str, str]:
    """Gives B a dataset and an operation."""
    code, text, _, _ = house.call("CreateDataset", {"parent": B, **DATASET})
    assert code == 0, text
    with registry.db.read() as connection:
        dataset = connection.execute(sa.text("SELECT id FROM datasets")).scalar_one()
        operation = connection.execute(sa.text("SELECT id FROM operations")).scalar_one()
    return {"dataset": f"{B}/datasets/{dataset}", "operation": f"{B}/operations/{operation}"}


def _named(fields: Any, wanted: dict[str, str]) -> Any:
    """The fields with other names in them."""
    if isinstance(fields, dict):
        return {key: _named(value, wanted) for key, value in fields.items()}
    if isinstance(fields, list):
        return [_named(value, wanted) for value in fields]
    return _replaced(fields, wanted) if isinstance(fields, str) else fields


def _replaced(text: str, wanted: dict[str, str]) -> str:
    return re.sub("|".join(rf"{re.escape(old)}\b" for old in wanted), lambda found: wanted[found[0]], text)


def _turned(wanted: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in wanted.items()}


def _id(name: str) -> str:
    return name.rpartition("/")[2]


NAMES_SOMETHING = sorted(
    call for call, fields in matrix.FIELDS.items() if any(f"IOD{number}" in repr(fields) for number in (1, 2, 3))
)


@pytest.mark.parametrize("where", [B, A], ids=["in B", "in A"])
@pytest.mark.parametrize("call", NAMES_SOMETHING)
def test_what_is_anothers_takes_the_work_of_what_is_not_there(house: House, call: str, where: str) -> None:
    rpc, fields = call.partition(":")[0], matrix.FIELDS[call]
    there = {"IOD1": _id(house.dataset), "IOD2": _id(house.model), "IOD3": _id(house.operation)}
    absent = {old: new[:3] + new[:2:-1] for old, new in there.items()}  # as long, and made of the same digits
    assert not set(there.values()) & set(absent.values())
    house.call(rpc, _named(fields, absent | {B: where}))  # statements are prepared by the first
    answers = [house.call(rpc, _named(fields, wanted | {B: where})) for wanted in (there, absent)]
    (code, text, statements, steps), other = answers
    assert (code, _replaced(text, _turned(there))) == (other[0], _replaced(other[1], _turned(absent)))
    assert code != 0 or rpc == "TestIamPermissions"
    assert statements == other[2], collections.Counter(statements) - collections.Counter(other[2])
    assert abs(steps - other[3]) <= STEPS, (steps, other[3], statements)


def test_the_counter_sees_the_work_of_one_row(house: House) -> None:
    """The counter counts: what is not alike differs by much more than the test above lets pass."""
    created = house.call("CreateDataset", {"parent": A, **DATASET})
    assert created[0] == 0 and len(created[2]) >= 2 and created[3] > 10 * STEPS
    code, _, statements, steps = house.call("ListDatasets", {"parent": A})
    assert code == 0 and statements and steps > STEPS
