"""Administration as a person does it: a second user in a few commands, plain refusals, files that others cannot read."""

from __future__ import annotations

import json
import pathlib
import shlex
import stat
import subprocess
import sys

import pytest
from tests.support.access.started_service import administer, run_started_service
from tests.support.machine.ports import free_port
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services.env_service import CLI
from tests.support.services.tls_process import clean_environment

LIST = """
import sys
from google.cloud import automl
client = automl.AutoMlClient()
parent = "projects/demo/locations/us-central1"
print(len(list(client.list_models(parent=parent))), "models")
try:
    client.create_dataset(parent=parent, dataset={"display_name": "d", "image_object_detection_dataset_metadata": {}})
except Exception as error:
    print(error.message, file=sys.stderr)
"""


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment() | variables
    return subprocess.run(
        [*CLI, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags that name a data directory in which an account was made."""
    folder = tmp_path_factory.mktemp("accounts")
    flags = ["--data-dir", str(folder / "data")]
    done = run("access", "start", "--project", "demo", "--out", str(folder / "client"), *flags)
    assert done.returncode == 0, done.stderr
    run("accounts", "create", "gone", "--project", "demo", *flags)
    run("accounts", "disable", "gone", *flags)
    return flags


def test_a_second_user_in_a_few_commands(tmp_path: pathlib.Path) -> None:
    with run_started_service(tmp_path) as service:
        assert administer(service, "accounts", "create", "second", "--project", "demo").startswith(
            "serviceAccount:second@"
        )
        administer(service, "iam", "grant", "second", "roles/automl.viewer", "--on", "projects/demo")
        out = tmp_path / "second"
        ports = ["--port", str(service.port), "--grpc-port", str(service.grpc_port)]
        authority = ["--ca", str(tmp_path / "client" / "ca.pem")]
        printed = administer(service, "client-env", "--account", "second", "--out", str(out), *authority, *ports)
        account = json.loads((out / "account.json").read_text())
        assert account["client_email"] == "second@demo.boxwright.localhost"
        own = ["env", f"GOOGLE_APPLICATION_CREDENTIALS={out}/account.json", sys.executable, "-c", LIST]
        done = service.run(*own)
        assert done.stdout.strip() == "0 models", done.stderr
        assert "Permission 'automl.datasets.create' denied on resource" in done.stderr
        administer(service, "iam", "grant", "second", "roles/automl.editor", "--on", "projects/demo")
        assert service.run(*own).stderr == ""
        own_environment = dict(
            shlex.split(line)[1].split("=", 1) for line in printed.splitlines() if line.startswith("export")
        )
        listed = run("models", "list", "--project", "demo", "--json", **own_environment)
        assert (listed.returncode, listed.stdout) == (0, "[]\n"), "the commands find the service too"
        again = administer(service, "client-env", "--account", "second", "--out", str(out), *authority, *ports)
        assert json.loads((out / "account.json").read_text()) == account, "a key that is there is kept"
        assert "--access required" not in again, "its user does not run the service"
        assert sorted(path.name for path in out.iterdir()) == ["account-no-universe.json", "account.json", "ca.pem"]
        assert (out / "ca.pem").read_bytes() == (tmp_path / "client" / "ca.pem").read_bytes()
        assert "last used 20" in administer(service, "accounts", "keys", "list", "second")


def test_what_is_secret_is_for_its_owner_and_written_once(tmp_path: pathlib.Path, data: list[str]) -> None:
    path = tmp_path / "key.json"
    made = run("accounts", "keys", "create", "owner", "--out", str(path), *data)
    assert (made.returncode, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    content = json.loads(path.read_text())
    assert {"type", "project_id", "private_key_id", "private_key", "client_email", "client_id", "token_uri"} == set(
        content
    )
    assert content["private_key"] not in made.stdout
    again = run("accounts", "keys", "create", "owner", "--out", str(path), *data)
    assert (again.returncode, "There is a file" in again.stderr) == (2, True)
    assert json.loads(path.read_text()) == content
    for file in pathlib.Path(data[1]).glob("metadata.sqlite*"):
        assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file
        assert content["private_key"].splitlines()[3].encode() not in file.read_bytes()


@pytest.mark.full
def test_why_says_which_binding_allows_and_which_would(data: list[str]) -> None:
    run("accounts", "create", "ci", "--project", "demo", *data)
    model = "projects/demo/locations/us-central1/models/IOD1"
    no = run("access", "why", "ci", "automl.models.predict", model, *data)
    assert no.returncode == 1
    advice = f"boxwright iam grant serviceAccount:ci@demo.boxwright.localhost roles/automl.predictor --on {model}"
    assert advice in no.stdout
    assert run(*advice.split()[1:], *data).returncode == 0
    yes = run("access", "why", "ci", "automl.models.predict", model, *data)
    said = f"yes: serviceAccount:ci@demo.boxwright.localhost has roles/automl.predictor on {model}\n"
    assert (yes.returncode, yes.stdout) == (0, said)
    owner = run("access", "why", "owner", "automl.models.predict", model, *data)
    assert "has roles/owner on projects/demo" in owner.stdout
    assert run("accounts", "disable", "ci", *data).stdout.endswith(" is disabled\n")
    disabled = run("access", "why", "ci", "automl.models.predict", model, *data)
    assert (disabled.returncode, "is disabled" in disabled.stdout) == (1, True)


REFUSED = [
    (["accounts", "create", "X", "--project", "demo"], "'X' must have 2 to 63 small letters"),
    (["accounts", "create", "owner", "--project", "demo"], "There is an account serviceAccount:owner@demo"),
    (["accounts", "create", "ci", "--project", "a/b"], "is no project id"),
    (["accounts", "create", "ci", "--project", "demo", "--email", "nobody"], "is no member"),
    (["accounts", "disable", "nobody"], "There is no account nobody"),
    (["accounts", "keys", "delete", "owner", "nothing"], "has no key nothing"),
    (["accounts", "keys", "create", "owner"], "--out"),
    (["accounts", "keys", "create", "owner", "--public-key", "/nowhere.pem"], "cannot be read"),
    (["accounts", "api-key", "owner", "--permission", "automl.models.fly"], "There is no permission automl.models.fly"),
    (["iam", "grant", "owner", "roles/fly", "--on", "projects/demo"], "Role roles/fly is not supported"),
    (["iam", "grant", "owner", "roles/viewer", "--on", "projects"], "holds no policy"),
    (["iam", "grant", "allUsers", "roles/viewer", "--on", "projects/demo"], "There is no account allUsers"),
    (["iam", "revoke", "owner", "roles/viewer", "--on", "projects/demo"], "does not have roles/viewer"),
    (["access", "why", "owner", "automl.models.fly", "projects/demo"], "There is no permission automl.models.fly"),
    (["access", "start", "--project", "demo"], "For its files again: `boxwright client-env --account owner`"),
    (["client-env", "--account", "nobody", "--out", "nothing"], "There is no account nobody"),
    (
        ["client-env", "--account", "owner", "--out", "nothing", "--ca", "/no.pem"],
        "/no.pem cannot be used: No such",
    ),
    (["client-env", "--account", "gone", "--out", "nothing"], "is disabled"),
    (["accounts", "token", "gone"], "is disabled, so no token of it would be taken"),
]


@pytest.mark.parametrize(("words", "text"), REFUSED, ids=[" ".join(words[:4]) for words, _ in REFUSED])
def test_a_mistake_is_named(data: list[str], words: list[str], text: str) -> None:
    done = run(*words, *data)
    assert (done.returncode, text in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not pathlib.Path("nothing").exists()


def test_the_last_owner_may_be_removed_and_that_is_said(data: list[str]) -> None:
    project = ["--on", "projects/left", *data]
    run("accounts", "create", "leaver", "--project", "left", *data)
    run("accounts", "create", "stayer", "--project", "left", *data)
    for name in ("leaver", "stayer"):
        run("iam", "grant", name, "roles/owner", *project)
    assert "note" not in run("iam", "revoke", "leaver", "roles/owner", *project).stdout
    assert (
        "note: nobody has roles/owner on projects/left now"
        in run("iam", "revoke", "stayer", "roles/owner", *project).stdout
    )


def test_a_folder_for_another_account_has_no_keys_of_the_service(tmp_path: pathlib.Path, data: list[str]) -> None:
    def made(*words: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
        done = subprocess.run(
            [*CLI, "client-env", "--account", "owner", *words, "--data-dir", str(pathlib.Path(data[1]).absolute())],
            cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done, {path.name for path in (tmp_path / (words[1] if words else "boxwright-client")).iterdir()}

    accounts = {"account.json", "account-no-universe.json"}
    keys = {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"}
    alone, files = made("--out", "alone")  # no authority is there: the folder is the service's
    assert files == accounts | keys and "boxwright serve" in alone.stdout
    assert made()[1] == accounts | keys
    other, files = made("--out", "other")
    assert files == accounts | {"ca.pem"} and "Hand over" in other.stdout and "boxwright serve" not in other.stdout
    assert (tmp_path / "other/ca.pem").read_bytes() == (tmp_path / "boxwright-client/ca.pem").read_bytes()
    assert made("--out", "alone")[1] == accounts | keys, "what is there stays as it is"


def test_a_command_on_a_folder_that_is_not_there_says_so(tmp_path: pathlib.Path) -> None:
    done = run("accounts", "list", "--data-dir", str(tmp_path / "nowhere"))
    assert (done.returncode, "--data-dir" in done.stderr) == (2, True)
    assert not (tmp_path / "nowhere").exists()


def _serve(tmp_path: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "buckets").mkdir(exist_ok=True)
    ports = ["--port", str(free_port()), "--grpc-port", str(free_port())]
    return run("serve", "--data-dir", str(tmp_path / "data"), "--buckets", str(tmp_path / "buckets"), *ports, *words)


@pytest.mark.full
def test_other_machines_are_served_with_accounts_and_tls_only(tmp_path: pathlib.Path) -> None:
    opened = _serve(tmp_path, "--host", "0.0.0.0")
    assert "access is open" in opened.stderr
    plain = _serve(tmp_path, "--host", "0.0.0.0", "--access", "required")
    assert "without TLS" in plain.stderr
    nobody = _serve(tmp_path, "--access", "required")
    assert "boxwright access start --project PROJECT" in nobody.stderr
    assert {opened.returncode, plain.returncode, nobody.returncode} == {2}


@pytest.mark.full
def test_groups_are_kept_and_explained(data: list[str]) -> None:
    team = "group:team@example.org"
    run("accounts", "create", "grouped", "--project", "demo", *data)
    assert run("iam", "group", "add", team, "grouped", *data).returncode == 0
    assert run("iam", "grant", team, "roles/automl.viewer", "--on", "projects/demo", *data).returncode == 0
    why = run("access", "why", "grouped", "automl.models.get", "projects/demo", *data)
    assert (why.returncode, why.stdout) == (0, f"yes: {team} has roles/automl.viewer on projects/demo\n")
    assert f"{team}  serviceAccount:grouped@demo.boxwright.localhost" in run("iam", "group", "list", *data).stdout
    assert "is not in" in run("iam", "group", "remove", team, "grouped", *data).stdout
    assert run("access", "why", "grouped", "automl.models.get", "projects/demo", *data).returncode == 1


def test_deleted_keys_of_a_person_and_tokens_are_listed_and_ended(tmp_path: pathlib.Path, data: list[str]) -> None:
    run("accounts", "create", "ada", "--project", "demo", "--email", "Ada@Example.org", *data)
    path = tmp_path / "ada.json"
    made = run("accounts", "user-file", "ada", "--out", str(path), *data)
    assert (made.returncode, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600), made.stderr
    content = json.loads(path.read_text())
    assert content["type"] == "external_account_authorized_user"
    assert content["refresh_token"].startswith("bxr_")
    listed = run("accounts", "list", *data).stdout
    assert "user:ada@example.org  demo  enabled" in listed
    ended = run("accounts", "token", "ada", "--revoke-all", *data)
    assert ended.stdout == "1 token of user:ada@example.org ended\n"
