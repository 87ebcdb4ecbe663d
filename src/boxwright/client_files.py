"""The files of client code: certificates of a private authority, and accounts that Google's libraries sign tokens with.

prepare(folder, …)           all of them, those of the service too, where nothing is there yet
prepare_account(folder, …)   what is handed over to the user of an account
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import json
import os
import pathlib
import re
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from boxwright import errors

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from boxwright.metadata import database

HOSTS = ("automl.localhost", "iamcredentials.localhost", "localhost", "127.0.0.1", "::1")
AUTHORITY_LIFE_DAYS = 3650
SERVER_LIFE_DAYS = 825  # the most that some TLS libraries accept of a server
RSA_BITS = 2048
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_HOUR = datetime.timedelta(hours=1)  # before now: clocks of two machines differ


@dataclasses.dataclass(frozen=True)
class ClientFiles:
    """The files of a client folder."""

    folder: pathlib.Path

    @property
    def authority(self) -> pathlib.Path:
        """The certificate that clients trust."""
        return self.folder / "ca.pem"

    @property
    def authority_key(self) -> pathlib.Path:
        """The key of that certificate, with which others are signed."""
        return self.folder / "ca-key.pem"

    @property
    def server(self) -> pathlib.Path:
        """The certificate that the service shows, for ``--tls-cert``."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> pathlib.Path:
        """The key of the service's certificate, for ``--tls-key``."""
        return self.folder / "server-key.pem"

    def account(self, *, with_universe: bool) -> pathlib.Path:
        """The service account that clients present."""
        return self.folder / ("account.json" if with_universe else "account-no-universe.json")


@dataclasses.dataclass(frozen=True)
class AccountKeys:
    """Makes keys of an account.

    Attributes:
        db: where the account is.
        name: its name, address or member.
        port: the service's REST port, where tokens are given.
    """

    db: database.Database
    name: str
    port: int

    def check(self) -> None:
        """Raises ApiError if there is no such account, or if it is disabled."""
        from boxwright.access import accounts

        with self.db.read() as connection:
            account = accounts.find(connection, self.name)
        if account.is_disabled:
            raise errors.failed_precondition(
                f"{account.member} is disabled, so nothing that it sends is taken. Enable it first: `boxwright accounts "
                f"enable {self.name}`."
            )

    def content(self, known: dict[str, Any]) -> dict[str, Any]:
        """The content of a credentials file: the one that is known, if its key is a usable one of the account's."""
        from boxwright.access import accounts, key_files

        token_uri = f"https://localhost:{self.port}/token"
        with self.db.read() as connection:
            account = accounts.find(connection, self.name)
            usable = {row.kid for row in accounts.keys_of(connection, account) if row.disabled_us is None}
        if known.get("private_key_id") in usable and known.get("client_email") == account.email:
            return {**known, "token_uri": token_uri}
        content, public_jwk = key_files.new_key(account, token_uri)
        with self.db.write() as connection:
            accounts.add_key(connection, account, content["private_key_id"], public_jwk)
        return content


def prepare(
    folder: pathlib.Path,
    hosts: Sequence[str],
    grpc_port: int,
    now: datetime.datetime,
    keys: AccountKeys | None = None,
) -> ClientFiles:
    """Writes what is missing in the folder; a certificate that lacks one of the hosts is made anew.

    Args:
        keys: of the account that clients present; None: of one that only a service with open access takes.

    Raises:
        ApiError: INVALID_ARGUMENT or FAILED_PRECONDITION if the folder or a host name cannot be used.
    """
    kit = ClientFiles(folder.absolute())
    try:
        kit.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (kit.authority.exists() and kit.authority_key.exists()):
            _write_authority(kit, now)
        if not kit.server_key.exists() or not _covers(kit.server, kit.authority, hosts, now):
            _write_server(kit, hosts, now)
        _write_accounts(kit, f"localhost:{grpc_port}", keys)
    except OSError as error:
        raise errors.failed_precondition(f"Cannot write {error.filename or folder}: {error.strerror}.") from error
    except ValueError as error:
        raise errors.failed_precondition(
            f"A file in {kit.folder} cannot be read: {error}. Remove the folder to have its files made anew."
        ) from error
    return kit


def prepare_account(folder: pathlib.Path, authority: pathlib.Path, grpc_port: int, keys: AccountKeys) -> ClientFiles:
    """Writes what the user of an account gets: the account, and the certificate by which the service is known.

    Args:
        authority: the certificate's file.

    Raises:
        ApiError: FAILED_PRECONDITION if the folder or the certificate cannot be used.
    """
    from cryptography import x509

    kit = ClientFiles(folder.absolute())
    try:
        content = authority.read_bytes()
        x509.load_pem_x509_certificates(content)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it holds no certificate in PEM"
        raise errors.failed_precondition(f"{authority} cannot be used: {why}.") from error
    try:
        kit.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kit.authority.write_bytes(content)
        _write_accounts(kit, f"localhost:{grpc_port}", keys)
    except OSError as error:
        raise errors.failed_precondition(f"Cannot write {error.filename or folder}: {error.strerror}.") from error
    except ValueError as error:
        raise errors.failed_precondition(
            f"A file in {kit.folder} cannot be read: {error}. Remove the folder to have its files made anew."
        ) from error
    return kit


# ---- files --------------------------------------------------------------------------------------------------------------


def _write_private(path: pathlib.Path, content: bytes) -> None:
    """Writes a file that only its owner may read, never visible half-written or readable by others."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR), "wb") as file:
        file.write(content)
    draft.replace(path)


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _draft(subject: str, issuer: str, key: Any, now: datetime.datetime, days: int) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _HOUR)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_authority(kit: ClientFiles, now: datetime.datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = f"Boxwright private authority {x509.random_serial_number() & 0xFFFFFFFF:08x}"
    draft = _draft(name, name, key, now, AUTHORITY_LIFE_DAYS)
    draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    draft = draft.add_extension(_key_usage(signs_certificates=True), critical=True)
    _write_private(kit.authority_key, _key_pem(key))
    kit.authority.write_bytes(_certificate_pem(draft.sign(key, hashes.SHA256())))


def _write_server(kit: ClientFiles, hosts: Sequence[str], now: datetime.datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    authority = x509.load_pem_x509_certificate(kit.authority.read_bytes())
    authority_key: Any = serialization.load_pem_private_key(kit.authority_key.read_bytes(), None)
    issuer = str(authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    key = ec.generate_private_key(ec.SECP256R1())
    draft = _draft("Boxwright", issuer, key, now, SERVER_LIFE_DAYS)
    for extension, is_critical in (
        (x509.SubjectAlternativeName([_general_name(host) for host in dict.fromkeys(hosts)]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_key_usage(signs_certificates=False), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False),
    ):
        draft = draft.add_extension(extension, critical=is_critical)
    _write_private(kit.server_key, _key_pem(key))
    kit.server.write_bytes(_certificate_pem(draft.sign(authority_key, hashes.SHA256())))


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise errors.invalid_argument("--host", f"'{host}' is neither a host name nor an address.") from None
        return x509.DNSName(host)


def _covers(server: pathlib.Path, authority: pathlib.Path, hosts: Sequence[str], now: datetime.datetime) -> bool:
    from cryptography import x509

    if not server.exists():
        return False
    certificate = x509.load_pem_x509_certificate(server.read_bytes())
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_known = all(_general_name(host) in named for host in hosts)
    return is_known and certificate.issuer == issuer.subject and certificate.not_valid_after_utc > now


def _write_accounts(kit: ClientFiles, universe: str, keys: AccountKeys | None) -> None:
    """Writes both accounts; a key that is there is kept, so that a change of the port changes nothing else."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    path = kit.account(with_universe=True)
    account = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if keys is not None:
        account = keys.content(account)
    elif not account:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        account = {
            "type": "service_account",
            "project_id": "boxwright",
            "private_key_id": os.urandom(20).hex(),
            "private_key": _key_pem(key).decode(),
            "client_email": "client@boxwright.localhost",
            "client_id": "1",
            "token_uri": "https://localhost/token",  # never asked: clients sign their tokens themselves
        }
    account["universe_domain"] = universe
    _write_private(path, json.dumps(account, indent=2).encode())
    del account["universe_domain"]
    _write_private(kit.account(with_universe=False), json.dumps(account, indent=2).encode())
