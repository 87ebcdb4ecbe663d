"""`boxwright client-env`: what it writes, what it keeps, and who may read it."""

from __future__ import annotations

import datetime
import json
import pathlib
import stat

import pytest
from cryptography import x509

from boxwright import cli, client_files, errors

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
HOSTS = list(client_files.HOSTS)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def kit(tmp_path: pathlib.Path) -> client_files.ClientFiles:
    return client_files.prepare(tmp_path / "client", HOSTS, 8471, NOW)


def names_of(kit: client_files.ClientFiles) -> list[str]:
    certificate = x509.load_pem_x509_certificate(kit.server.read_bytes())
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in named]


def test_the_certificate_names_this_machine_and_is_signed_by_the_authority(kit: client_files.ClientFiles) -> None:
    assert names_of(kit) == ["automl.localhost", "iamcredentials.localhost", "localhost", "127.0.0.1", "::1"]
    authority = x509.load_pem_x509_certificate(kit.authority.read_bytes())
    x509.load_pem_x509_certificate(kit.server.read_bytes()).verify_directly_issued_by(authority)


def test_what_is_private_is_readable_by_its_owner_only(kit: client_files.ClientFiles) -> None:
    assert stat.S_IMODE(kit.folder.stat().st_mode) == 0o700
    public = {path.name for path in kit.folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077}
    assert public <= {"ca.pem", "server.pem"}


def test_a_second_run_keeps_every_file(kit: client_files.ClientFiles) -> None:
    before = contents(kit.folder)
    client_files.prepare(kit.folder, HOSTS, 8471, NOW + datetime.timedelta(days=10))
    assert contents(kit.folder) == before


def test_another_port_changes_the_universe_and_no_key(kit: client_files.ClientFiles) -> None:
    before = contents(kit.folder)
    client_files.prepare(kit.folder, HOSTS, 50443, NOW)
    after = contents(kit.folder)
    assert {name for name in after if after[name] != before[name]} == {"account.json"}
    account = json.loads(after["account.json"])
    assert account["universe_domain"] == "localhost:50443"
    del account["universe_domain"]
    assert json.loads(after["account-no-universe.json"]) == account


@pytest.mark.parametrize("days, hosts", [(0, [*HOSTS, "boxes.example"]), (900, HOSTS)], ids=["another host", "expired"])
def test_a_certificate_that_will_not_do_is_made_anew(
    kit: client_files.ClientFiles, days: int, hosts: list[str]
) -> None:
    before = contents(kit.folder)
    client_files.prepare(kit.folder, hosts, 8471, NOW + datetime.timedelta(days=days))
    after = contents(kit.folder)
    assert {name for name in after if after[name] != before[name]} == {"server.pem", "server-key.pem"}
    assert set(hosts) <= set(names_of(kit))


def test_a_name_that_is_none_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ApiError, match="'a b' is neither a host name nor an address"):
        client_files.prepare(tmp_path, ["a b"], 8471, NOW)


def test_a_broken_file_is_named_with_what_to_do(kit: client_files.ClientFiles) -> None:
    kit.server.write_text("nonsense")
    with pytest.raises(errors.ApiError, match="Remove the folder"):
        client_files.prepare(kit.folder, HOSTS, 8471, NOW)


@pytest.mark.parametrize(
    "flag, account", [("--universe", "account.json"), ("--no-universe", "account-no-universe.json")]
)
def test_the_command_prints_exports(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], flag: str, account: str
) -> None:
    folder = tmp_path / "with space"
    assert cli.main(["client-env", "--out", str(folder), "--grpc-port", "50443", flag]) == 0
    printed = capsys.readouterr().out.splitlines()
    code = [line for line in printed if not line.startswith("#")]
    assert code[0] == (
        "export GOOGLE_CLOUD_UNIVERSE_DOMAIN=localhost:50443"
        if flag == "--universe"
        else "unset GOOGLE_CLOUD_UNIVERSE_DOMAIN"
    )
    assert f"export GOOGLE_APPLICATION_CREDENTIALS='{folder / account}'" in code
    assert {"export BOXWRIGHT_URL=https://localhost:8470", f"export BOXWRIGHT_CA='{folder}/ca.pem'"} <= set(code)
    assert len(code) == 7
