"""The certificate of both API servers: read from its files, and again when these change.

    CertificateFiles(cert, key, client_ca)    refuses what cannot be used
    .context                                  for the HTTP server
    .grpc_credentials()                       for the gRPC server
    .watch(asked, changed)                    reads the files again, every 30 s and when it is asked to

Open connections keep the certificate that they have; handshakes that follow get the new one. The HTTP server keeps its
context, whose handshakes continue in the newest one. A context in use could not be changed as safely: authorities cannot be
taken out of it, and a certificate that does not fit its key takes the key away. What is read is tried before it is used.
Files that do not fit together, because one of them is not written yet, change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import pathlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import grpc
from cryptography import x509

from boxwright import errors

RELOAD_INTERVAL_S = 30.0

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Content:
    """What the files hold: PEM."""

    chain: bytes
    key: bytes
    client_ca: bytes | None


class CertificateFiles:
    """A certificate chain with its key, and the authorities whose clients may connect.

    Args:
        cert: the chain, PEM.
        key: its private key, PEM, without a passphrase.
        client_ca: certificates of authorities, PEM: clients need a certificate that one of them has signed; None: they need
            none.

    Raises:
        ApiError: FAILED_PRECONDITION: a file cannot be read or used.
    """

    def __init__(self, cert: pathlib.Path, key: pathlib.Path, client_ca: pathlib.Path | None = None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._content = self._read()
        self._newest = self._usable(self._content)
        self._refused: _Content | None = None
        self.context = self._usable(self._content)
        self.context.sni_callback = self._continue_in_newest  # called for clients that name no host too

    @property
    def names(self) -> list[str]:
        """The host names and addresses that the certificate is for."""
        return certificate_names(self._content.chain)

    @property
    def valid_until_s(self) -> float:
        """When the certificate that is shown ends, seconds since 1970."""
        return x509.load_pem_x509_certificate(self._content.chain).not_valid_after_utc.timestamp()

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Credentials that follow the files as far as `reload` has read them."""
        given = self._content

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            if given is self._content:
                return None
            given = self._content
            return _grpc_configuration(given)

        return grpc.dynamic_ssl_server_credentials(
            _grpc_configuration(given), changed, require_client_authentication=self._client_ca is not None
        )

    def reload(self, *, is_asked: bool = False) -> bool:
        """Takes what the files hold now, if it is new and can be used; returns whether it did.

        Args:
            is_asked: somebody wants to know: what was refused before is reported again.
        """
        found = None
        try:
            found = self._read()
            if found == self._content:
                self._refused = None
                return False
            newest = self._usable(found)
        except errors.ApiError as error:
            if is_asked or found is None or found != self._refused:
                log.error("event=certificate_refused reason=%r", error.message)
            self._refused = found
            return False
        self._refused = None
        self._content, self._newest = found, newest
        log.info("event=certificate_reloaded path=%s valid_until=%s", self._cert, _valid_until(found.chain))
        return True

    async def watch(self, asked: asyncio.Event, changed: Callable[[], None]) -> NoReturn:
        """Reloads every `RELOAD_INTERVAL_S`, and when the event is set.

        Args:
            asked: is cleared when it was heard.
            changed: called after every change, in a thread.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), RELOAD_INTERVAL_S)
            is_asked = asked.is_set()
            asked.clear()
            await asyncio.to_thread(self._look, is_asked, changed)

    def _look(self, is_asked: bool, changed: Callable[[], None]) -> None:
        try:
            if self.reload(is_asked=is_asked):
                changed()
        except Exception:  # the old certificate stays, and so does the watch
            log.exception("event=certificate_not_reloaded")

    def _continue_in_newest(
        self, handshake: ssl.SSLObject | ssl.SSLSocket, host: str | None, context: ssl.SSLContext
    ) -> None:
        handshake.context = self._newest

    def _read(self) -> _Content:
        try:
            authorities = None if self._client_ca is None else self._client_ca.read_bytes()
            return _Content(self._cert.read_bytes(), self._key.read_bytes(), authorities)
        except OSError as error:
            raise errors.failed_precondition(f"{error.filename} cannot be read: {error.strerror}.") from error

    def _usable(self, content: _Content) -> ssl.SSLContext:
        """A context of what was read; raises ApiError if that cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            with _as_file(content.chain) as chain, _as_file(content.key) as key:
                context.load_cert_chain(chain, key, _no_passphrase)
            certificate_names(content.chain)
        except (OSError, ValueError) as error:  # also what ssl itself raises
            raise errors.failed_precondition(
                f"The certificate {self._cert} with the key {self._key} cannot be used: {error}."
            ) from error
        if content.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.options |= ssl.OP_NO_TICKET  # a resumed session shows no certificate,
            context.num_tickets = 0  # and would outlive its authority
            try:
                with _as_file(content.client_ca) as authorities:
                    context.load_verify_locations(authorities)
            except OSError as error:
                raise errors.failed_precondition(
                    f"The authorities in {self._client_ca} (tls_client_ca) cannot be used: {error}."
                ) from error
        return context


def certificate_names(pem: bytes) -> list[str]:
    """The host names and addresses that a certificate (the first of a chain, PEM) is for."""
    try:
        named = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []  # no client of today looks anywhere else
    addresses = map(str, named.value.get_values_for_type(x509.IPAddress))
    return [*named.value.get_values_for_type(x509.DNSName), *addresses]


def _grpc_configuration(content: _Content) -> grpc.ServerCertificateConfiguration:
    pairs: Sequence[tuple[bytes, bytes]] = [(content.key, content.chain)]
    return grpc.ssl_server_certificate_configuration(pairs, root_certificates=content.client_ca)


def _valid_until(chain: bytes) -> str:
    return x509.load_pem_x509_certificate(chain).not_valid_after_utc.isoformat()


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; store it without one")  # instead of a question at the terminal


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path for what takes nothing but paths; the content stays in memory, and is the one that was looked at."""
    descriptor = os.memfd_create("certificate")
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(content)
        yield f"/proc/self/fd/{descriptor}"
