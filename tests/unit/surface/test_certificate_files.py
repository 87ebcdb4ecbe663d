"""The files of a certificate: read, refused with a reason, and read again when they change."""

from __future__ import annotations

import asyncio
import pathlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc import code_pb2
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services.authorities import Authority, private_pem, replace

from boxwright import errors
from boxwright.surface import certificate_files
from boxwright.surface.certificate_files import CertificateFiles

AUTHORITY = Authority("authority")
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Has a certificate ``server`` and the authority of clients, ``ca.pem``."""
    AUTHORITY.issue(["first.example"]).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes("# Die Behörde\n".encode() + AUTHORITY.pem)
    return tmp_path


def _read(folder: pathlib.Path) -> CertificateFiles:
    return CertificateFiles(folder / "server.pem", folder / "server-key.pem", folder / "ca.pem")


def test_it_says_when_the_certificate_ends(folder: pathlib.Path) -> None:
    (certificate, *_) = x509.load_pem_x509_certificates((folder / "server.pem").read_bytes())
    assert _read(folder).valid_until_s == certificate.not_valid_after_utc.timestamp()


BAD = [
    ("server.pem", b"", "cannot be used"),
    ("server.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "cannot be used"),
    ("server.pem", AUTHORITY.issue().chain, "cannot be used"),  # of another key
    ("server-key.pem", b"no key", "cannot be used"),
    ("server-key.pem", private_pem(KEY), "cannot be used"),
    ("server-key.pem", private_pem(KEY, b"passphrase"), "passphrase; store it without one"),
    ("server-key.pem", None, "server-key.pem cannot be read: No such file"),
    ("ca.pem", b"", r"ca\.pem \(tls_client_ca\) cannot be used"),
    ("ca.pem", b"\xff\x00", r"ca\.pem \(tls_client_ca\) cannot be used"),
    ("ca.pem", None, "ca.pem cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "why"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_used_is_refused_at_the_start_and_changes_nothing_later(
    name: str, content: bytes | None, why: str, folder: pathlib.Path, caplog
):
    files = _read(folder)
    good = (folder / name).read_bytes()
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(errors.ApiError, match=why) as refused:
        _read(folder)
    assert refused.value.code == code_pb2.FAILED_PRECONDITION
    assert not files.reload()
    assert files.names == ["first.example"]
    assert caplog.text.count("event=certificate_refused") == 1
    (folder / name).write_bytes(good)
    assert not files.reload()
    AUTHORITY.issue(["second.example"]).write(folder, "server")
    assert files.reload()
    assert files.names == ["second.example"]


def test_what_is_refused_is_reported_once_and_whenever_somebody_asks(folder: pathlib.Path, caplog):
    files = _read(folder)
    replace(folder / "server.pem", AUTHORITY.issue().chain)
    for _ in range(3):
        assert not files.reload()
    assert caplog.text.count("event=certificate_refused") == 1
    files.reload(is_asked=True)
    assert caplog.text.count("event=certificate_refused") == 2
    replace(folder / "server.pem", AUTHORITY.issue().chain)
    files.reload()
    assert caplog.text.count("event=certificate_refused") == 3


@pytest.mark.parametrize("is_asked", [False, True], ids=["in time", "asked"])
def test_files_are_read_again_in_time_and_when_somebody_asks_also_after_a_fault(
    is_asked: bool, folder: pathlib.Path, monkeypatch, caplog
):
    monkeypatch.setattr(certificate_files, "RELOAD_INTERVAL_S", 10 * PATIENCE_S if is_asked else 0.01)
    files = _read(folder)
    seen: list[list[str]] = []

    async def watch() -> None:
        asked, changed = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def note() -> None:
            seen.append(files.names)
            loop.call_soon_threadsafe(changed.set)
            if len(seen) == 1:
                raise RuntimeError("a fault")

        watching = asyncio.create_task(files.watch(asked, note))
        for name in ("second.example", "third.example"):
            AUTHORITY.issue([name]).write(folder, "server")
            if is_asked:
                asked.set()
            await asyncio.wait_for(changed.wait(), PATIENCE_S)
            changed.clear()
        watching.cancel()

    asyncio.run(watch())
    assert seen == [["second.example"], ["third.example"]]
    assert caplog.text.count("event=certificate_not_reloaded") == 1
