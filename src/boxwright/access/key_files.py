"""Key pairs of accounts: the file that clients read has the private half, the database the public one.

The file has the form of Google's service account keys, so that every client library reads it.
"""

from __future__ import annotations

import base64
import os
import pathlib
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from boxwright import errors
from boxwright.access.index import AccountRecord

RSA_BITS = 2048
RSA_SIZES = (2048, 4096)
RSA_EXPONENT = 65537


def new_key(account: AccountRecord, token_uri: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Makes a key pair; returns the content of the file for clients, and the public half as a JWK."""
    key = rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    content = {
        "type": "service_account",
        "project_id": account.project,
        "private_key_id": os.urandom(20).hex(),
        "private_key": pem.decode(),
        "client_email": account.email,
        "client_id": account.id,
        "token_uri": token_uri,
    }
    return content, jwk_of(key.public_key())


def read_public_key(path: pathlib.Path) -> dict[str, Any]:
    """The public key of a PEM file as a JWK.

    Raises:
        ApiError: FAILED_PRECONDITION if the file cannot be read; INVALID_ARGUMENT if it holds no key that is taken.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise errors.failed_precondition(f"The file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise errors.bad_request(f"The file {path} holds no public key in PEM.") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise errors.bad_request(f"The key of {path} is neither RSA nor of the curve P-256.")
    return jwk_of(key)


def jwk_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> dict[str, Any]:
    """A public key as a JWK.

    Raises:
        ApiError: INVALID_ARGUMENT for a key that is too short, too long, or of another kind.
    """
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        if not RSA_SIZES[0] <= key.key_size <= RSA_SIZES[1] or numbers.e != RSA_EXPONENT:
            raise errors.bad_request(
                f"An RSA key has {RSA_SIZES[0]} to {RSA_SIZES[1]} bits and the exponent {RSA_EXPONENT}; this one has "
                f"{key.key_size} and {numbers.e}."
            )
        return {"kty": "RSA", "n": _base64(numbers.n, (key.key_size + 7) // 8), "e": _base64(numbers.e, 3)}
    if not isinstance(key.curve, ec.SECP256R1):
        raise errors.bad_request(f"An elliptic-curve key is of the curve P-256; this one is of {key.curve.name}.")
    point = key.public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": _base64(point.x, 32), "y": _base64(point.y, 32)}


def _base64(number: int, size_bytes: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size_bytes, "big")).decode().rstrip("=")
