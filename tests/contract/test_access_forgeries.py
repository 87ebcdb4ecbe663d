"""Forged and spoilt tokens: each is refused, with the same bytes of answer, at both API servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from google.cloud import automl_v1
from google.rpc import error_details_pb2, status_pb2
from tests.support.access.credentials import AUDIENCE, CLOUD_SCOPE, Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service

from boxwright.access import token_store
from boxwright.surface import methods

ROW = next(row for row in methods.TABLE if row.rpc == "ListDatasets")
PATH = f"/v1/{LOCATION}/datasets"
_MISSING: Any = object()


def part(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class Forger:
    """Makes tokens of two accounts by hand: nothing of the library that a client would use is in the way."""

    def __init__(self, service: GuardedService) -> None:
        self.service = service
        self.account, self.other = service.owner, service.registry.account("other")
        service.registry.grant(self.other.member, "roles/owner", "projects/demo")
        self.disabled_key = service.registry.account("keyless")
        self.old_key = service.registry.account("old")
        for account, column in ((self.disabled_key, "disabled_us"), (self.old_key, "not_after_us")):
            _set_key(service, account, column)

        self.first, self.second = service.registry.keys("two-keys", 2)
        self.third = service.registry.keys("three-keys", 3)[2]
        for account in (self.first, self.third):
            service.registry.grant(account.member, "roles/owner", "projects/demo")

    def unnamed(self, signer: Account) -> str:
        """A right token that does not name its key."""
        return self.signed(part({"alg": "RS256"}), part(signer.claims()), signer)

    def signature(self, text: str, account: Account | None = None) -> bytes:
        signer = account or self.account
        key: Any = serialization.load_pem_private_key(str(signer.key_file["private_key"]).encode(), None)
        return bytes(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))

    def public_pem(self, encoding: serialization.Encoding) -> bytes:
        key: Any = serialization.load_pem_private_key(str(self.account.key_file["private_key"]).encode(), None)
        return bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))

    def header(self, **changes: Any) -> dict[str, Any]:
        usual = {"alg": "RS256", "typ": "JWT", "kid": self.account.kid}
        return {name: value for name, value in (usual | changes).items() if value is not _MISSING}

    def token(self, header: Any = None, signer: Account | None = None, **claims: Any) -> str:
        """A token with a right signature over whatever it says."""
        return self.signed(part(header or self.header()), part(self.account.claims(**claims)), signer)

    def signed(self, first: str, second: str, signer: Account | None = None) -> str:
        text = f"{first}.{second}"
        return f"{text}.{part(self.signature(text, signer))}"

    def raw(self, header: str | None = None, claims: str | None = None) -> str:
        """A token with a right signature over JSON that is written by hand."""
        first = part((header or json.dumps(self.header())).encode())
        return self.signed(first, part((claims or json.dumps(self.account.claims())).encode()))

    def by_hmac(self, secret: bytes, algorithm: str = "HS256") -> str:
        text = f"{part(self.header(alg=algorithm))}.{part(self.account.claims())}"
        return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def _set_key(service: GuardedService, account: Account, column: str) -> None:
    from boxwright.access import index
    from boxwright.metadata.schema import account_keys

    with service.registry.db.write() as connection:
        connection.execute(account_keys.update().where(account_keys.c.kid == account.kid).values(**{column: 1}))
        index.note_change(connection)


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    with run_guarded_service(tmp_path_factory.mktemp("forgeries"), "--no-worker") as service:
        yield Forger(service)


def _now() -> int:
    return int(time.time())


def _spoilt(token: str, change: Callable[[list[str]], list[str]]) -> str:
    return ".".join(change(token.split(".")))


def _flipped(text: str) -> str:
    """Another spelling of the same bytes: base64's last character has bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def _claims_text(forger: Forger, extra: str) -> str:
    return json.dumps(forger.account.claims())[:-1] + f", {extra}}}"


def _nested(depth: int) -> Any:
    return {"a": _nested(depth - 1)} if depth else 1


Make = Callable[[Forger], str]
FORGED: dict[str, Make] = {
    "none": lambda f: _spoilt(f.token(f.header(alg="none")), lambda p: [*p[:2], ""]),
    "none with a signature": lambda f: f.token(f.header(alg="none")),
    "None": lambda f: f.token(f.header(alg="None")),
    "NONE": lambda f: f.token(f.header(alg="NONE")),
    "nOnE": lambda f: f.token(f.header(alg="nOnE")),
    "algorithm empty": lambda f: f.token(f.header(alg="")),
    "algorithm a list": lambda f: f.token(f.header(alg=["RS256"])),
    "algorithm RS512": lambda f: f.token(f.header(alg="RS512")),
    "algorithm PS256": lambda f: f.token(f.header(alg="PS256")),
    "algorithm ES256": lambda f: f.token(f.header(alg="ES256")),
    "HS256 with the PEM": lambda f: f.by_hmac(f.public_pem(serialization.Encoding.PEM)),
    "HS256 with the DER": lambda f: f.by_hmac(f.public_pem(serialization.Encoding.DER)),
    "HS256 with the key's id": lambda f: f.by_hmac(f.account.kid.encode()),
    "HMAC called RS256": lambda f: f.by_hmac(f.public_pem(serialization.Encoding.PEM), "RS256"),
    "kid missing, by another account": lambda f: f.token(f.header(kid=_MISSING), f.other),
    "kid missing, of no account": lambda f: f.token(f.header(kid=_MISSING), iss="nobody@demo", sub="nobody@demo"),
    "kid missing, by a disabled key": lambda f: f.unnamed(f.disabled_key),
    "kid missing, by a key too old": lambda f: f.unnamed(f.old_key),
    "kid missing, of an account with three keys": lambda f: f.unnamed(f.third),
    "kid missing, HS256": lambda f: _spoilt(
        f.by_hmac(f.public_pem(serialization.Encoding.PEM)), lambda p: [part({"alg": "HS256"}), *p[1:]]
    ),
    "kid missing, ES256": lambda f: f.token({"alg": "ES256"}),
    "nothing but a type": lambda f: f.token({"typ": "JWT"}),
    "kid unknown": lambda f: f.token(f.header(kid="f" * 40)),
    "kid empty": lambda f: f.token(f.header(kid="")),
    "kid a path": lambda f: f.token(f.header(kid="../../data/metadata.sqlite")),
    "kid SQL": lambda f: f.token(f.header(kid="' OR '1'='1")),
    "kid a number": lambda f: f.token(f.header(kid=1)),
    "kid null": lambda f: f.token(f.header(kid=None)),
    "kid of another account": lambda f: f.token(f.header(kid=f.other.kid)),
    "kid of another account, its signature": lambda f: f.token(f.header(kid=f.other.kid), f.other),
    "kid of a disabled key": lambda f: f.signed(
        part(f.header(kid=f.disabled_key.kid)), part(f.disabled_key.claims()), f.disabled_key
    ),
    "kid of a key too old": lambda f: f.signed(part(f.header(kid=f.old_key.kid)), part(f.old_key.claims()), f.old_key),
    "typ another": lambda f: f.token(f.header(typ="at+jwt")),
    "header jwk": lambda f: f.token(f.header(jwk={"kty": "RSA", "n": "AQAB", "e": "AQAB"})),
    "header jku": lambda f: f.token(f.header(jku="https://localhost/keys")),
    "header x5u": lambda f: f.token(f.header(x5u="https://localhost/cert.pem")),
    "header x5c": lambda f: f.token(f.header(x5c=["AAAA"])),
    "header crit": lambda f: f.token(f.header(crit=["exp"])),
    "header zip": lambda f: f.token(f.header(zip="DEF")),
    "header b64": lambda f: f.token(f.header(b64=False)),
    "audience of another API": lambda f: f.token(aud="https://storage.googleapis.com/"),
    "audience a list": lambda f: f.token(aud=[AUDIENCE]),
    "audience a prefix": lambda f: f.token(aud="https://automl.googleapis.com/x"),
    "audience without its slash": lambda f: f.token(aud="https://automl.googleapis.com"),
    "audience of the token endpoint": lambda f: f.token(aud="https://oauth2.googleapis.com/token"),
    "audience empty": lambda f: f.token(aud=""),
    "audience and scope": lambda f: f.token(scope=CLOUD_SCOPE),
    "neither audience nor scope": lambda f: f.token(aud=None),
    "scope of another API": lambda f: f.token(aud=None, scope="https://www.googleapis.com/auth/devstorage.read_only"),
    "scope empty": lambda f: f.token(aud=None, scope=""),
    "scope a list": lambda f: f.token(aud=None, scope=[CLOUD_SCOPE]),
    "issuer of another account": lambda f: f.token(iss=f.other.email, sub=f.other.email),
    "issuer missing": lambda f: f.token(iss=None, sub=None),
    "issuer a list": lambda f: f.token(iss=[f.account.email]),
    "issuer in capitals": lambda f: f.token(iss=f.account.email.upper(), sub=f.account.email.upper()),
    "subject of another account": lambda f: f.token(sub=f.other.email),
    "subject a number": lambda f: f.token(sub=1),
    "issued in the future": lambda f: f.token(iat=_now() + 120, exp=_now() + 3000),
    "issued missing": lambda f: f.token(iat=None),
    "expired": lambda f: f.token(iat=_now() - 7200, exp=_now() - 3600),
    "expired by 61 s": lambda f: f.token(iat=_now() - 600, exp=_now() - 61),
    "a life of two hours": lambda f: f.token(exp=_now() + 7200),
    "a life below zero": lambda f: f.token(iat=_now() + 50, exp=_now() + 10),
    "expiry missing": lambda f: f.token(exp=None),
    "expiry a text": lambda f: f.token(exp=str(_now() + 60)),
    "expiry a fraction": lambda f: f.token(exp=_now() + 60.5),
    "expiry true": lambda f: f.token(exp=True),
    "expiry endless": lambda f: f.raw(claims=_claims_text(f, '"exp": 1e999').replace('"exp": ', '"old": ', 1)),
    "expiry not a number": lambda f: f.raw(claims=_claims_text(f, '"x": NaN')),
    "expiry in too many digits": lambda f: f.raw(claims=_claims_text(f, '"x": 1' + "0" * 5000)),
    "subject twice": lambda f: f.raw(claims=_claims_text(f, f'"sub": "{f.account.email}"')),
    "expiry twice": lambda f: f.raw(claims=_claims_text(f, f'"exp": {_now() + 60}')),
    "algorithm twice": lambda f: f.raw(header=json.dumps(f.header())[:-1] + ', "alg": "RS256"}'),
    "claims too deep": lambda f: f.token(extra=_nested(8)),
    "claims a list": lambda f: f.raw(claims="[]"),
    "claims no JSON": lambda f: f.raw(claims="{"),
    "claims not in UTF-8": lambda f: f.signed(part(f.header()), part(b'{"iss": "\xff"}')),
    "header no JSON": lambda f: f.raw(header="x"),
    "a right token, 9 KiB long": lambda f: f.token(padding="x" * 9000),
    "two parts": lambda f: _spoilt(f.token(), lambda p: p[:2]),
    "four parts": lambda f: _spoilt(f.token(), lambda p: [*p, "AAAA"]),
    "five parts": lambda f: _spoilt(f.token(), lambda p: [*p, "AAAA", "AAAA"]),
    "no signature": lambda f: _spoilt(f.token(), lambda p: [*p[:2], ""]),
    "a signature cut": lambda f: _spoilt(f.token(), lambda p: [*p[:2], p[2][:-4]]),
    "a signature in another spelling": lambda f: _spoilt(f.token(), lambda p: [*p[:2], _flipped(p[2])]),
    "a signature by another account": lambda f: f.token(signer=f.other),
    "claims changed after signing": lambda f: _spoilt(
        f.token(), lambda p: [p[0], part(f.account.claims(exp=_now() + 60)), p[2]]
    ),
    "padding": lambda f: f.token() + "=",
    "whitespace inside": lambda f: _spoilt(f.token(), lambda p: [p[0], " " + p[1], p[2]]),
    "plus and slash": lambda f: _spoilt(f.token(), lambda p: [p[0] + "+", p[1], p[2]]),
    "a refresh token": lambda f: f.service.registry.token(f.account, kind=token_store.REFRESH),
    "an API key": lambda f: f.service.registry.api_key(f.account),
    "an access token that was never given": lambda f: "bxw_" + "0" * 49,
    "an access token with another checksum": lambda f: f.service.registry.token(f.account)[:-1] + "!",
    "the digest of an access token": lambda f: hashlib.sha256(f.service.registry.token(f.account).encode()).hexdigest(),
    "a word": lambda f: "anything",
}


def _by_rest(forger: Forger, header: str) -> tuple[int, str, bytes]:
    answer = forger.service.http.get(PATH, headers={"Authorization": header})
    return answer.status_code, answer.headers.get("www-authenticate", ""), answer.content


def _by_grpc(forger: Forger, header: str) -> bytes:
    stub = forger.service.channel.unary_unary(
        ROW.full_name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=ROW.response_pb.FromString,
    )
    try:
        stub(automl_v1.ListDatasetsRequest.pb()(parent=LOCATION), metadata=[("authorization", header)], timeout=300)
    except grpc.RpcError as error:
        return bytes(dict(error.trailing_metadata() or ())["grpc-status-details-bin"])
    return b""


@pytest.fixture(scope="module")
def answers(forger: Forger) -> tuple[tuple[int, str, bytes], bytes]:
    """What a token that means nothing is answered with at both servers."""
    return _by_rest(forger, "Bearer anything"), _by_grpc(forger, "Bearer anything")


def test_there_are_enough_and_their_answer_says_what_it_should(answers: tuple[Any, bytes]) -> None:
    assert len(FORGED) >= 60
    (status_code, challenge, content), details = answers
    assert (status_code, challenge) == (401, 'Bearer realm="boxwright", error="invalid_token"')
    error = json.loads(content)["error"]
    assert error["message"].startswith(
        "Request had invalid authentication credentials. Expected OAuth 2 access token, "
    )
    status = status_pb2.Status.FromString(details)
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert (status.message, info.reason) == (error["message"], "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    assert error["details"][0]["reason"] == info.reason


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_has_the_answer_of_all_others(forger: Forger, answers: tuple[Any, bytes], name: str) -> None:
    token = FORGED[name](forger)
    assert (_by_rest(forger, f"Bearer {token}"), _by_grpc(forger, f"Bearer {token}")) == answers


ACCEPTED: dict[str, Make] = {
    "by audience": lambda f: f.token(),
    "by the audience of a service": lambda f: f.token(aud=AUDIENCE + "google.cloud.automl.v1.AutoMl"),
    "by scope": lambda f: f.token(aud=None, scope=CLOUD_SCOPE),
    "by one of several scopes": lambda f: f.token(aud=None, scope=f"openid {CLOUD_SCOPE}"),
    "without a subject": lambda f: f.token(sub=None),
    "expired by 55 s": lambda f: f.token(iat=_now() - 600, exp=_now() - 55),
    "of the other account": lambda f: f.other.signed(),
    "without a type": lambda f: f.token(f.header(typ=_MISSING)),
    "without a key's id, of an account with one key": lambda f: f.unnamed(f.account),
    "without a key's id, by the older of two": lambda f: f.unnamed(f.first),
    "without a key's id, by the newer of two": lambda f: f.unnamed(f.second),
    "an access token": lambda f: f.service.registry.token(f.account),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_client_sends_is_accepted(forger: Forger, name: str) -> None:
    token = ACCEPTED[name](forger)
    assert _by_rest(forger, f"Bearer {token}")[0] == 200
    assert _by_grpc(forger, f"bearer {token}") == b""


@pytest.mark.parametrize(
    "sent",
    [
        [("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")],
        [("Authorization", "Bearer {token}"), ("X-Goog-Api-Key", "{key}")],
        [("X-Goog-Api-Key", "{key}"), ("X-Goog-Api-Key", "{key}")],
        [("Authorization", "Basic {token}")],
        [("Authorization", "Bearer  {token}")],
        [("Authorization", "Bearer")],
        [("Authorization", "{token}")],
        [("Authorization", "Bearer \xff\xfe")],
    ],
    ids=["two bearers", "a bearer and a key", "two keys", "basic", "two blanks", "no token", "no scheme", "no text"],
)
def test_more_than_one_credential_or_another_scheme_is_refused(
    forger: Forger, answers: tuple[Any, bytes], sent: list[tuple[str, str]]
) -> None:
    token, key = forger.token(), forger.service.registry.api_key(forger.account)
    headers = [(name, value.format(token=token, key=key).encode("latin-1")) for name, value in sent]
    answer = forger.service.http.get(PATH, headers=headers)
    assert (answer.status_code, answer.content) == (answers[0][0], answers[0][2])


def test_an_api_key_in_header_and_query_is_two_and_an_access_token_in_the_query_is_none(forger: Forger) -> None:
    key, http = forger.service.registry.api_key(forger.account), forger.service.http
    assert http.get(PATH, params={"key": key}).status_code == 200
    assert http.get(PATH, params={"key": key}, headers={"X-Goog-Api-Key": key}).status_code == 401
    answer = http.get(PATH, params={"access_token": forger.service.registry.token(forger.account)})
    assert answer.json()["error"]["details"][0]["reason"] == "CREDENTIALS_MISSING"


def test_an_unknown_api_key_is_an_invalid_argument(forger: Forger) -> None:
    for key in ("AIza", "bxk_" + "0" * 49, forger.service.registry.token(forger.account)):
        error = forger.service.http.get(PATH, params={"key": key}).json()["error"]
        assert (error["status"], error["message"]) == (
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
        )
        assert error["details"][0]["reason"] == "API_KEY_INVALID"


def test_an_expired_access_token_is_told_so(forger: Forger) -> None:
    token = forger.service.registry.token(forger.account, life_s=-1)
    answer = forger.service.http.get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_EXPIRED"


def test_a_token_of_another_installation_is_refused(
    forger: Forger, answers: tuple[Any, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.support.access.credentials import Registry

    elsewhere = Registry(tmp_path_factory.mktemp("elsewhere") / "metadata.sqlite")
    account = elsewhere.account("owner")
    assert account.email == forger.account.email
    for token in (account.signed(), elsewhere.token(account)):
        assert _by_rest(forger, f"Bearer {token}") == answers[0]
    elsewhere.close()


def test_no_credential_is_in_the_log(forger: Forger) -> None:
    token = forger.token(aud="https://storage.googleapis.com/")
    assert _by_rest(forger, f"Bearer {token}")[0] == 401
    log = forger.service.log
    assert "event=credentials_refused" in log
    assert token not in log
    assert token.split(".")[2] not in log
