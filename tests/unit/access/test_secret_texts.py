"""The form of what the service gives out, and which keys it takes."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from boxwright import errors
from boxwright.access import key_files, secret_texts

KINDS = (secret_texts.ACCESS_PREFIX, secret_texts.REFRESH_PREFIX, secret_texts.API_KEY_PREFIX)


@pytest.mark.parametrize("prefix", KINDS)
def test_a_secret_can_be_told_from_other_text_without_asking(prefix: str) -> None:
    text = secret_texts.new(prefix)
    assert re.fullmatch(prefix + r"[0-9A-Za-z]{49}", text)
    assert secret_texts.is_well_formed(text, prefix)
    assert not any(secret_texts.is_well_formed(text, other) for other in KINDS if other != prefix)
    for spoilt in (text[:-1], text + "0", text[:-1] + ("0" if text[-1] != "0" else "1"), text.swapcase(), text + "\n"):
        assert not secret_texts.is_well_formed(spoilt, prefix)


def test_secrets_are_all_different_and_stored_by_their_digest() -> None:
    texts = {secret_texts.new(secret_texts.ACCESS_PREFIX) for _ in range(200)}
    assert len(texts) == 200
    assert all(re.fullmatch(r"[0-9a-f]{64}", secret_texts.digest(text)) for text in texts)


def _pem(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_public_keys_of_the_kinds_that_are_taken_are_read(tmp_path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(_pem(rsa.generate_private_key(65537, 2048)))
    assert key_files.read_public_key(path)["kty"] == "RSA"
    path.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    assert key_files.read_public_key(path)["crv"] == "P-256"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: _pem(rsa.generate_private_key(65537, 1024)), "2048 to 4096 bits"),
        (lambda: _pem(rsa.generate_private_key(3, 2048)), "exponent 65537"),
        (lambda: _pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (lambda: _pem(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor"),
        (lambda: b"no key", "no public key in PEM"),
    ],
    ids=["short", "exponent", "curve", "kind", "text"],
)
def test_other_keys_are_refused(tmp_path, make, why: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(make())
    with pytest.raises(errors.ApiError, match=why):
        key_files.read_public_key(path)
