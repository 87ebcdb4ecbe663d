"""An identity provider: keys, tokens that it signs, and its addresses on the loopback interface."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from tests.support.machine import http_site

AUDIENCE = "boxwright-client"


def part(value: Any) -> str:
    """One part of a token: JSON, or bytes as they are."""
    content = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _number(value: int, size_bytes: int) -> str:
    return part(value.to_bytes(size_bytes, "big"))


class SigningKey:
    """A key pair of an issuer.

    Args:
        kid: its id.
        algorithm: RS256, ES256 or EdDSA.
        bits: of an RSA key.
    """

    def __init__(self, kid: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: Any
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half."""
        public = self.private.public_key()
        shared = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "RS256":
            numbers = public.public_numbers()
            size = (numbers.n.bit_length() + 7) // 8
            return {**shared, "kty": "RSA", "n": _number(numbers.n, size), "e": _number(numbers.e, 3)}
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            return {**shared, "kty": "EC", "crv": "P-256", "x": _number(numbers.x, 32), "y": _number(numbers.y, 32)}
        return {**shared, "kty": "OKP", "crv": "Ed25519", "x": part(public.public_bytes_raw())}

    def signature(self, text: str) -> bytes:
        if self.algorithm == "RS256":
            return bytes(self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))
        if self.algorithm == "ES256":
            r, s = utils.decode_dss_signature(self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return bytes(self.private.sign(text.encode()))


class Issuer:
    """An identity provider.

    Attributes:
        url: what it calls itself.
        keys: those that it publishes, the first of which signs.
        asked: the paths that were asked for.
        answers: answers by path, instead of its own: status, headers, content.
        signed_in: what the device's owner gets; None: they have not signed in yet.
    """

    def __init__(self, url: str = "https://issuer.example", algorithm: str = "RS256") -> None:
        self.url = url
        self.keys = [SigningKey("key-1", algorithm)]
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.signed_in: Callable[[], dict[str, Any]] = lambda: {"error": "authorization_pending"}

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk for key in self.keys]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What it says of somebody now; a change to None leaves a claim out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 600}
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def header(self, **changes: Any) -> dict[str, Any]:
        usual = {"alg": self.keys[0].algorithm, "typ": "JWT", "kid": self.keys[0].kid}
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def token(self, *, header: dict[str, Any] | None = None, signer: SigningKey | None = None, **claims: Any) -> str:
        """A token with a right signature over whatever it says."""
        text = f"{part(header or self.header())}.{part(self.claims(**claims))}"
        return f"{text}.{part((signer or self.keys[0]).signature(text))}"

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """What it answers to a request."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        content: dict[str, Any] = {"error": "not_found"}
        if path == "/.well-known/openid-configuration":
            content = {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint": f"{self.url}/token",
                "device_authorization_endpoint": f"{self.url}/device",
            }
        elif path == "/keys":
            content = self.jwks
        elif path == "/device":
            code = {"device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": f"{self.url}/enter"}
            content = {**code, "interval": 0, "expires_in": 600, "asked": form}
        elif path == "/token":
            content = self.signed_in() if form.get("device_code") == "d" else {"error": "invalid_grant"}
        return (404 if content == {"error": "not_found"} else 200), {}, json.dumps(content).encode()


@contextlib.contextmanager
def served(issuer: Issuer, certificate: tuple[pathlib.Path, pathlib.Path] | None = None) -> Iterator[Issuer]:
    """Lets an issuer answer on the loopback interface, under that address, until the end of the block.

    Args:
        issuer: gets its address.
        certificate: and its key, for TLS; None: plain HTTP.
    """

    class Handler(http_site.QuietHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
            self.answer(*issuer.answer(self.path, form))

        do_POST = do_GET

    with http_site.serving(Handler, certificate) as server:
        issuer.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        yield issuer
