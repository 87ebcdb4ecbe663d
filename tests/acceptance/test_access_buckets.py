"""Grants of folders as a person administers them: granted, listed, explained, revoked; the service's own is refused."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services.env_service import CLI
from tests.support.services.tls_process import clean_environment

CI = "serviceAccount:ci@demo.boxwright.localhost"
OWNER = "serviceAccount:owner@demo.boxwright.localhost"


class Administrator:
    """Runs commands on one data directory."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.data_dir = folder / "data"

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [*CLI, *words, "--data-dir", str(self.data_dir)]
        environment = clean_environment() | variables
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def does(self, *words: str) -> str:
        """What a command says that must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def refused(self, *words: str, **variables: str) -> str:
        """What a command says that must not succeed, on standard error or output."""
        done = self.run(*words, **variables)
        assert done.returncode != 0, words
        return (done.stderr or done.stdout).strip()


@pytest.fixture(scope="module")
def administrator(tmp_path_factory: pytest.TempPathFactory) -> Administrator:
    folder = tmp_path_factory.mktemp("grants")
    administrator = Administrator(folder)
    flags = ["--project", "demo", "--out", str(folder / "client")]
    said = administrator.does("access", "start", *flags, "--bucket", "photos", "--bucket", "gs://results/demo/")
    assert (
        f"# {OWNER} has roles/owner on projects/demo, and may read and write gs://photos/, gs://results/demo/." in said
    )
    administrator.does("accounts", "create", "ci", "--project", "demo")
    return administrator


@pytest.mark.full
def test_the_first_account_has_the_bucket_of_its_project_unless_another_is_named(tmp_path: pathlib.Path) -> None:
    administrator = Administrator(tmp_path)
    administrator.does("access", "start", "--project", "team", "--out", str(tmp_path / "client"))
    assert administrator.does("buckets", "list").split()[1:] == ["gs://team/", "read,write"]


@pytest.mark.full
def test_grants_add_up_are_listed_explained_and_revoked(administrator: Administrator) -> None:
    assert administrator.does("buckets", "grant", "gs://photos/in/", "ci", "--read") == f"{CI} may read gs://photos/in/"
    again = administrator.does("buckets", "grant", "gs://photos/in/", "ci", "--write")
    assert again == f"{CI} may read,write gs://photos/in/"
    listed = administrator.does("buckets", "list").splitlines()
    assert f"{CI}  gs://photos/in/  read,write" in listed
    assert f"{OWNER}  gs://photos/  read,write" in listed
    assert administrator.does("buckets", "list", "ci") == f"{CI}  gs://photos/in/  read,write"
    why = ["access", "why", "ci"]
    assert administrator.does(*why, "storage.objects.get", "gs://photos/in/1.jpg").startswith(f"yes: {CI} may")
    assert administrator.does(*why, "storage.objects.create", "gs://photos/in").startswith(f"yes: {CI} may")
    for address in ("gs://photos/in2/1.jpg", "gs://photos/in", "gs://photos/In/1.jpg", "gs://photo/in/1.jpg"):
        assert administrator.refused(*why, "storage.objects.get", address).startswith(f"no: nothing gives {CI}")
    advice = administrator.refused(*why, "storage.objects.get", "gs://photos/in2/1.jpg").splitlines()[-1]
    assert advice.strip() == f"boxwright buckets grant gs://photos/in2/ {CI} --read"
    left = administrator.does("buckets", "revoke", "gs://photos/in/", "ci", "--write")
    assert left == f"{CI} may read gs://photos/in/"
    assert "has no such grant" in administrator.refused("buckets", "revoke", "gs://photos/in/", "ci", "--write")
    administrator.does("buckets", "grant", "gs://photos/", "allAuthenticatedUsers", "--read")
    gone = administrator.does("buckets", "revoke", "gs://photos/in/", "ci").splitlines()
    assert gone[0] == f"{CI} no longer has a grant on gs://photos/in/"
    assert "gs://photos/ is granted to it too" in gone[1]
    assert administrator.does("buckets", "revoke", "gs://photos/", "allAuthenticatedUsers")


@pytest.mark.full
def test_a_deleted_accounts_grants_are_gone(administrator: Administrator) -> None:
    administrator.does("accounts", "create", "brief", "--project", "demo")
    administrator.does("buckets", "grant", "gs://photos/in/", "brief", "--read")
    administrator.does("accounts", "disable", "brief")
    said = administrator.refused("access", "why", "brief", "storage.objects.get", "gs://photos/in/1.jpg")
    assert "is disabled" in said.splitlines()[-1]
    administrator.does("accounts", "delete", "brief")
    administrator.does("accounts", "create", "brief", "--project", "demo")
    assert administrator.does("buckets", "list", "brief") == ""


@pytest.mark.full
def test_what_cannot_be_granted_says_why(administrator: Administrator) -> None:
    def grant(folder: str, **variables: str) -> str:
        return administrator.refused("buckets", "grant", folder, "ci", "--read", **variables)

    assert "for a folder write gs://photos/in/" in grant("gs://photos/in")
    assert "only gs://" in grant("s3://photos/")
    assert "'..'" in grant("gs://photos/../data/")
    assert "own state" in grant("state://boxwright/")
    assert "address of a machine" in grant("gs://169.254.169.254/")
    assert "--read, --write or both" in administrator.refused("buckets", "grant", "gs://photos/", "ci")
    assert "no account nobody" in administrator.refused("buckets", "grant", "gs://photos/", "nobody", "--read")
    s3 = {"BOXWRIGHT_SCHEMES": "gs,s3", "BOXWRIGHT_STATE_URI": "s3://state/boxwright"}
    for folder in ("s3://state/", "s3://state/boxwright/", "s3://state/boxwright/models/"):
        assert "the service's own state is in s3://state/boxwright/ (state_uri)" in grant(folder, **s3)
    assert administrator.run("buckets", "grant", "s3://state/boxwright2/", "ci", "--read", **s3).returncode == 0
    roots = {"BOXWRIGHT_FILE_ROOTS": str(administrator.data_dir.parent / "files")}
    for folder in (administrator.data_dir, administrator.data_dir.parent, administrator.data_dir / "state"):
        assert f"data_dir is {administrator.data_dir.resolve()}" in grant(f"file://{folder}/", **roots)
    assert "data_dir" in grant("gs://data/", BOXWRIGHT_BUCKETS_DIR=str(administrator.data_dir.parent))
