"""What a command shows a service: client certificates that cannot be used are told before anything is asked."""

from __future__ import annotations

import argparse
import pathlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.services.authorities import Authority, private_pem

from boxwright import errors
from boxwright.commands import connection

CLIENTS = Authority("clients")


def opened(*arguments: str | pathlib.Path) -> connection.RestConnection:
    parser = argparse.ArgumentParser()
    connection.add_arguments(parser)
    return connection.RestConnection(parser.parse_args(list(map(str, arguments))))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    CLIENTS.issue().write(tmp_path, "client")
    CLIENTS.issue().write(tmp_path, "other")
    (tmp_path / "locked-key.pem").write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1()), b"a passphrase"))
    (tmp_path / "both.pem").write_bytes(
        (tmp_path / "client.pem").read_bytes() + (tmp_path / "client-key.pem").read_bytes()
    )
    return tmp_path


def test_a_certificate_and_its_key_are_two_files_or_one(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = str(folder / "client.pem"), str(folder / "client-key.pem")
    assert opened("--client-cert", pair[0], "--client-key", pair[1])._session.cert == pair
    assert opened("--client-cert", folder / "both.pem")._session.cert == (str(folder / "both.pem"),) * 2
    assert opened()._session.cert is None
    monkeypatch.setenv(connection.CERTIFICATE_VARIABLE, pair[0])
    monkeypatch.setenv(connection.KEY_VARIABLE, pair[1])
    assert opened()._session.cert == pair


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        ("client.pem", "other-key.pem", "no certificate in PEM and its key"),
        ("client.pem", "locked-key.pem", "the key has a passphrase"),
        ("client.pem", "", "must hold the key too"),
        ("none.pem", "client-key.pem", "No such file"),
        ("client-key.pem", "client-key.pem", "no certificate in PEM"),
        ("", "client-key.pem", "needs the certificate of that key"),
    ],
)
def test_what_cannot_be_shown_is_told_and_nobody_is_asked_for_a_passphrase(
    folder: pathlib.Path, certificate: str, key: str, why: str
) -> None:
    flags = {"--client-cert": certificate, "--client-key": key}
    chosen = [part for flag, name in flags.items() if name for part in (flag, folder / name)]
    with pytest.raises(errors.ApiError, match=why):
        opened(*chosen)
