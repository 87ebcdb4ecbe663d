"""A service behind TLS, with everything that unmodified sample code needs to find and trust it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import json
import pathlib
import sys
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from tests.support.machine.ports import free_port
from tests.support.services import tls_process

HOSTS = ("automl.localhost", "localhost")


@dataclasses.dataclass
class TlsService(tls_process.ServiceBehindTls):
    """A running service with TLS at both API servers.

    Attributes:
        folder: the certificate ``cert.pem`` that clients must trust, and ``account.json`` that they present.
        url, grpc_target: as of any service; the names are in the certificate.
    """

    def client_environment(self) -> dict[str, str]:
        """The environment in which unmodified code of the official client reaches this service."""
        return tls_process.clean_environment() | {
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN": f"localhost:{self.grpc_port}",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self.folder / "cert.pem"),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "account.json"),
        }


def _private_key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_certificate(folder: pathlib.Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "boxwright test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host) for host in HOSTS] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(_private_key_pem(key))


def _write_account(folder: pathlib.Path, grpc_port: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "project_id": "demo",
        "private_key_id": "1",
        "private_key": _private_key_pem(key).decode(),
        "client_email": "tester@demo.example",
        "client_id": "1",
        "token_uri": "https://localhost/token",
        "universe_domain": f"localhost:{grpc_port}",
    }
    (folder / "account.json").write_text(json.dumps(account))


@contextlib.contextmanager
def run_tls_service(folder: pathlib.Path) -> Iterator[TlsService]:
    """Runs a service with TLS on both doors until the end of the block."""
    service = TlsService(folder, free_port(), free_port())
    (folder / "buckets").mkdir(exist_ok=True)
    _write_certificate(folder)
    _write_account(folder, service.grpc_port)
    command = [sys.executable, "-m", "boxwright.cli", "serve", "--data-dir", str(service.data_dir)]
    command += [
        "--buckets",
        str(folder / "buckets"),
        "--port",
        str(service.port),
        "--grpc-port",
        str(service.grpc_port),
    ]
    command += ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]
    with tls_process.running(command, service.url, folder / "cert.pem", folder / "service.log"):
        yield service
