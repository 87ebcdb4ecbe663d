"""`boxwright access providers` and `boxwright login` as people use them: an issuer, a service, a terminal."""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess
from collections.abc import Iterator

import pytest
from tests.support.access.guarded_service import GuardedService, run_guarded_service
from tests.support.access.issuer import AUDIENCE, Issuer, served
from tests.support.services.env_service import CLI
from tests.support.services.tls_process import clean_environment


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with served(Issuer()) as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedService]:
    with run_guarded_service(tmp_path_factory.mktemp("login"), "--no-worker") as running:
        yield running


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *words], env=clean_environment() | variables, capture_output=True, text=True, check=False
    )


def provider(service: GuardedService, *words: str) -> subprocess.CompletedProcess[str]:
    return run("access", "providers", *words, "--data-dir", str(service.data_dir))


def login(
    service: GuardedService, issuer: Issuer, out: pathlib.Path, name: str = "office"
) -> subprocess.CompletedProcess[str]:
    about = ["--provider", name, "--issuer", issuer.url, "--client-id", AUDIENCE]
    return run("login", *about, "--out", str(out), "--url", service.url)


def test_a_person_signs_in_and_works(service: GuardedService, issuer: Issuer, tmp_path: pathlib.Path) -> None:
    about = ["--issuer", issuer.url, "--audience", AUDIENCE, "--email-domain", "example.org"]
    made = provider(service, "create", "office", *about)
    assert made.returncode == 0, made.stderr
    assert f"keys      {issuer.url}/keys" in made.stdout
    assert "counts as allAuthenticatedUsers" in made.stdout
    service.registry.grant("user:ada@example.org", "roles/automl.viewer", "projects/demo")
    token = issuer.token(email="ada@example.org", email_verified=True)
    answers = [{"error": "authorization_pending"}, {"id_token": token}]
    issuer.signed_in = lambda: answers.pop(0)
    out = tmp_path / "login.json"
    done = login(service, issuer, out)
    assert done.returncode == 0, done.stderr
    assert f"Open {issuer.url}/enter in a browser and enter the code WDJB-MJHT" in done.stderr
    assert done.stdout == f"export GOOGLE_APPLICATION_CREDENTIALS={out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    shared = ["--url", service.url, "--project", "demo"]
    listed = run("datasets", "list", *shared, GOOGLE_APPLICATION_CREDENTIALS=str(out))
    assert listed.returncode == 0, listed.stderr
    denied = run("datasets", "create", "d", *shared, GOOGLE_APPLICATION_CREDENTIALS=str(out))
    assert "Permission 'automl.datasets.create' denied" in denied.stderr
    elsewhere = run(
        "datasets", "list", "--url", "http://localhost:1", "--project", "demo", GOOGLE_APPLICATION_CREDENTIALS=str(out)
    )
    assert "Nothing answers" in elsewhere.stderr  # and no token was asked for there
    text = json.loads(out.read_text())["refresh_token"]
    for path in (service.folder / "service.log", *service.data_dir.glob("audit/*")):
        assert text not in path.read_text(errors="replace")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"error": "access_denied", "error_description": "No.\x1b[2J"}, "The issuer does not sign in: No."),
        ({"error": "expired_token"}, "The issuer does not sign in: expired_token"),
        ({"id_token": "forged"}, "The service does not take the sign-in: Invalid subject token."),
    ],
    ids=["denied", "expired", "forged"],
)
def test_who_is_refused_is_told_so_and_nothing_is_written(
    service: GuardedService, issuer: Issuer, tmp_path: pathlib.Path, answer: dict[str, str], text: str
) -> None:
    issuer.signed_in = lambda: answer
    done = login(service, issuer, tmp_path / "login.json")
    assert (done.returncode, text in done.stderr) == (2, True), done.stderr
    assert "\x1b" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_another_file_is_not_replaced(service: GuardedService, issuer: Issuer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "key.json").write_text('{"type": "service_account"}')
    done = login(service, issuer, tmp_path / "key.json")
    assert (done.returncode, "choose another" in done.stderr) == (2, True)


@pytest.mark.full
def test_a_provider_is_listed_disabled_and_deleted(
    service: GuardedService, issuer: Issuer, tmp_path: pathlib.Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(Issuer().jwks))
    about = [
        "--issuer",
        "https://issuer.example",
        "--audience",
        "x",
        "--jwks",
        str(keys),
        "--require",
        "hd=example.org",
    ]
    made = provider(service, "create", "file", *about)
    assert made.returncode == 0, made.stderr
    assert "note" not in made.stdout
    assert "file  enabled  https://issuer.example  for x  hd=example.org" in provider(service, "list").stdout
    assert provider(service, "disable", "file").returncode == 0
    assert "file  disabled" in provider(service, "list").stdout
    out = tmp_path / "c.json"
    written = provider(service, "credentials", "file", "--token-file", "/t", "--out", str(out), "--account", "owner")
    assert written.returncode == 0, written.stderr
    content = json.loads(out.read_text())
    assert content["credential_source"] == {"file": "/t"}
    assert content["service_account_impersonation_url"].endswith(
        "/v1/projects/-/serviceAccounts/owner@demo.boxwright.localhost:generateAccessToken"
    )
    assert provider(service, "delete", "file").returncode == 0
    assert "file " not in provider(service, "list").stdout
    audit = "".join(path.read_text() for path in service.data_dir.glob("audit/*.jsonl"))
    for change in ("CreateProvider", "DisableProvider", "DeleteProvider"):
        assert f"boxwright.access.{change}" in audit


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--issuer", "http://issuer.example", "--audience", "x"], "must begin with https://"),
        (["--issuer", "https://169.254.169.254", "--audience", "x"], "leads to no machine"),
        (["--issuer", "https://issuer.example", "--audience", "x", "--jwks", "/nowhere"], "cannot be read"),
        (["--issuer", "https://issuer.example", "--audience", "x", "--require", "hd"], "not of the form"),
    ],
    ids=["http", "metadata server", "no file", "claim"],
)
def test_a_mistake_is_said(service: GuardedService, words: list[str], text: str, tmp_path: pathlib.Path) -> None:
    if "--require" in words:
        (tmp_path / "k.json").write_text(json.dumps(Issuer().jwks))
        words = [*words, "--jwks", str(tmp_path / "k.json")]
    done = provider(service, "create", "wrong", *words)
    assert (done.returncode, text in done.stderr) == (2, True), done.stderr


def test_a_private_key_is_not_taken_for_a_provider(service: GuardedService, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{**Issuer().keys[0].jwk, "d": "AQAB"}]}))
    done = provider(service, "create", "x1", "--issuer", "https://i.example", "--audience", "x", "--jwks", str(path))
    assert (done.returncode, "holds a private key" in done.stderr) == (2, True)
