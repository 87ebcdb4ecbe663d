"""`boxwright doctor` as a person runs it: on a whole installation, and on broken ones."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest
from tests.support.access.credentials import Registry
from tests.support.access.issuer import AUDIENCE
from tests.support.access.sign_in_issuer import SignInIssuer, served_pages
from tests.support.predictions.tiny_model import MODEL_ID
from tests.support.services import patient

from boxwright import machine
from boxwright.access import accounts, providers
from boxwright.access.oidc_tokens import ProviderRecord
from boxwright.metadata import database, migrations
from boxwright.metadata.schema import account_keys

KEYS = ["version", "cores", "memory", "processor", "data_dir", "temporary", "places", "openvino", "gpu"]
KEYS += ["training", "weights", "database", "gs", "models", "tuning", "port", "grpc_port"]


CLI = [sys.executable, "-m", "boxwright.cli"]


@pytest.fixture
def doctor(tmp_path):
    """Runs the command on folders below tmp_path, on any free ports."""
    data_dir, buckets_dir = tmp_path / "data", tmp_path / "buckets"
    data_dir.mkdir()
    (buckets_dir / "photos").mkdir(parents=True)

    def run(*arguments: str, program: Sequence[str] = CLI, **environment: str) -> tuple[int, dict[str, dict]]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
        here = {
            "BOXWRIGHT_DATA_DIR": str(data_dir),
            "BOXWRIGHT_BUCKETS_DIR": str(buckets_dir),
            "BOXWRIGHT_PORT": "0",
            "BOXWRIGHT_GRPC_PORT": "0",
        }
        done = subprocess.run(
            [*program, "doctor", "--json", *arguments],
            env=inherited | here | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not done.stderr
        document = json.loads(done.stdout)
        assert document["ok"] == (done.returncode == 0) == all(fact["ok"] for fact in document["facts"])
        return done.returncode, {fact["key"]: fact for fact in document["facts"]}

    return run


def attention(facts: dict[str, dict]) -> list[str]:
    """The keys of what is to be mended."""
    return [key for key, fact in facts.items() if not fact["ok"]]


def test_a_whole_installation_is_well_and_nothing_is_made(doctor, tmp_path, tiny_model):
    tiny_model.install(tmp_path / "data")
    before = sorted(path for path in tmp_path.rglob("*"))
    status, facts = doctor("--bucket", "gs://photos")
    assert (status, attention(facts)) == (0, [])
    assert list(facts) == [*KEYS[:13], "bucket", *KEYS[13:]]
    assert f"schema {migrations.HEAD}, current" in facts["database"]["text"]
    assert facts["models"]["text"] == "1 can be loaded"
    assert facts["gs"]["text"].endswith(", 1 bucket")
    assert facts["tuning"]["text"].startswith("nothing measured yet")
    assert sorted(path for path in tmp_path.rglob("*") if not path.name.startswith("metadata.sqlite-")) == before


@pytest.mark.full
@pytest.mark.slow
def test_networks_are_measured_when_that_is_asked_for(doctor, tmp_path, tiny_model):
    status, facts = doctor("--tune", BOXWRIGHT_CORES="2")
    assert (status, attention(facts)) == (1, ["tuning"])
    assert "there is no model to measure" in facts["tuning"]["text"]
    tiny_model.copy_to(tmp_path / "data" / "models")
    status, facts = doctor("--tune", program=patient.CLI, BOXWRIGHT_CORES="2")
    assert (status, attention(facts)) == (0, [])
    assert "mobile-low-latency-1 96×64 fp32" in facts["tuning"]["text"]
    assert doctor(BOXWRIGHT_CORES="2")[1]["tuning"] == facts["tuning"]
    assert "nothing to choose" in doctor(BOXWRIGHT_CORES="1")[1]["tuning"]["text"]


def test_a_machine_before_its_first_start_lacks_only_the_folder(doctor, tmp_path):
    status, facts = doctor("--data-dir", str(tmp_path / "nowhere"))
    assert (status, attention(facts), list(facts)) == (1, ["data_dir"], KEYS)
    assert not (tmp_path / "nowhere").exists()


def test_a_database_that_does_not_answer_is_named_without_its_password(doctor):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql+pg8000://boxwright:hidden@127.0.0.1:{port}/boxwright"
    status, facts = doctor(BOXWRIGHT_DATABASE_URL=url)
    assert (status, attention(facts)) == (1, ["database"])
    assert f"127.0.0.1:{port}" in facts["database"]["text"]
    assert "hidden" not in facts["database"]["text"]


def test_connections_are_counted_against_what_the_server_gives(doctor, postgres):
    url = postgres.new_database()
    database.Database(url).close()
    _, facts = doctor(BOXWRIGHT_DATABASE_URL=url, BOXWRIGHT_KINDS="export")
    assert facts["connections"]["ok"]
    assert "a serve holds up to 20, a worker up to 3: room for a serve and" in facts["connections"]["text"]
    status, facts = doctor(BOXWRIGHT_DATABASE_URL=url, BOXWRIGHT_DATABASE_CONNECTIONS="900")
    assert (status, attention(facts)) == (1, ["connections"])
    assert "raise max_connections" in facts["connections"]["text"]


def test_a_damaged_model_and_a_missing_bucket_are_named(doctor, tmp_path, tiny_model):
    folder = tiny_model.copy_to(tmp_path / "data" / "models")
    with (folder / "model.onnx").open("ab") as network:
        network.write(b"more")
    status, facts = doctor("--bucket", "gs://none")
    assert (status, attention(facts)) == (1, ["bucket", "models"])
    assert MODEL_ID in facts["models"]["text"]


def test_a_port_that_something_else_has_is_named_a_service_is_not(doctor, service):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, facts = doctor(BOXWRIGHT_PORT=str(taken.getsockname()[1]), BOXWRIGHT_GRPC_PORT="0")
    assert (status, attention(facts)) == (1, ["port"])
    status, facts = doctor(BOXWRIGHT_PORT=service.url.rpartition(":")[2])
    assert (status, attention(facts)) == (0, [])


def test_an_old_schema_is_to_be_migrated(doctor, tmp_path):
    place = tmp_path / "data" / "metadata.sqlite"
    db = database.Database(place)
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    db.close()
    status, facts = doctor()
    assert (status, attention(facts)) == (1, ["database"])
    assert "boxwright migrate" in facts["database"]["text"]


def test_lines_for_people_say_the_same(tmp_path):
    folders = [tmp_path / "data", tmp_path / "buckets"]
    for folder in folders:
        folder.mkdir()
    flags = ["--data-dir", folders[0], "--buckets", folders[1], "--port", "0", "--grpc-port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "boxwright.cli", "doctor", *map(str, flags)],
        env=os.environ | {"BOXWRIGHT_CORES": "4000"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [key for _, key, _ in lines] == KEYS
    assert [key for state, key, _ in lines if state == "attention"] == ["cores"]


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"membership": "0::/a/b\n", "mount/a/memory.max": "5000", "mount/a/b/memory.max": "max"}, 5000),
        ({"membership": "4:memory:/a\n", "mount/memory/a/memory.limit_in_bytes": "7000"}, 7000),
        ({"membership": "0::/\n", "mount/memory.max": "max"}, None),
        ({}, None),
    ],
)
def test_memory_is_what_the_control_groups_leave(tmp_path: pathlib.Path, files: dict[str, str], limit: int | None):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = machine.usable_memory_bytes(tmp_path / "membership", tmp_path / "mount")
    assert found == (limit or machine.memory_bytes())


def test_accounts_are_looked_at_where_they_count(doctor, tmp_path):
    registry = Registry(tmp_path / "data" / "metadata.sqlite")
    _, facts = doctor(BOXWRIGHT_ACCESS="required")
    assert "boxwright access start" in facts["access"]["text"]
    account = registry.account("ci")
    _, facts = doctor(BOXWRIGHT_ACCESS="required")
    assert (facts["access"]["ok"], facts["access"]["text"]) == (True, "1 account")
    registry.grant("serviceAccount:gone@demo.boxwright.localhost", "roles/automl.viewer", "projects/demo")
    with registry.db.write() as connection:
        soon = {"not_after_us": account_keys.c.create_time_us + 10 * accounts.DAY_US}
        connection.execute(account_keys.update().values(**soon))
    _, facts = doctor(BOXWRIGHT_ACCESS="required")
    said = facts["access"]["text"]
    assert f"the key {account.kid} of {account.member} ends in 10 days" in said
    assert (
        "gone@demo.boxwright.localhost has roles/automl.viewer on projects/demo, and there is no such account" in said
    )
    assert "access" not in doctor()[1]
    registry.close()


def test_providers_for_signing_in_are_looked_at(doctor, tmp_path):
    status, found = doctor(BOXWRIGHT_CONSOLE_PROVIDERS="office")
    assert (status, found["sign_in"]["ok"], "access is open" in found["sign_in"]["text"]) == (1, False, True)
    registry = Registry(tmp_path / "data" / "metadata.sqlite")
    registry.account("owner")
    chosen = {"BOXWRIGHT_ACCESS": "required", "BOXWRIGHT_CONSOLE_PROVIDERS": "office"}
    status, found = doctor(**chosen)
    assert (status, "there is no provider office" in found["sign_in"]["text"]) == (1, True)
    with served_pages(SignInIssuer()) as issuer:
        with registry.db.write() as connection:
            record = ProviderRecord("office", issuer.url, AUDIENCE, f"{issuer.url}/keys", sign_in_s=3600)
            providers.add(connection, record)
        public = {**chosen, "BOXWRIGHT_PUBLIC_URL": "https://boxes.example.org"}
        status, found = doctor(**public)
        assert (status, found["sign_in"]["ok"]) == (1, False)
        assert "office does not let pages of https://boxes.example.org read its answers" in found["sign_in"]["text"]
        issuer.origins.add("https://boxes.example.org")
        assert doctor(**public)[1]["sign_in"]["ok"]
        assert doctor(**chosen)[1]["sign_in"] == {
            "key": "sign_in",
            "ok": True,
            "text": "people sign in to the console at office",
        }
    status, found = doctor(**chosen)
    assert (status, "cannot be reached" in found["sign_in"]["text"]) == (1, True)
    registry.close()
