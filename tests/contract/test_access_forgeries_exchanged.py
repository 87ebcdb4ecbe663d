"""Forged and spoilt tokens of identity providers: each has the same bytes of answer, and costs one verification."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from tests.contract.test_access_forgeries import PATH
from tests.support.access.guarded_service import GuardedService, run_guarded_service
from tests.support.access.issuer import AUDIENCE, Issuer, SigningKey, part, served

from boxwright.access import authenticate, exchange, federation, index, oidc_tokens, providers
from boxwright.access.oidc_tokens import ProviderRecord


class Forger:
    """Two providers of a running service, one of which asks its issuer for keys, and tokens of both made by hand."""

    def __init__(self, service: GuardedService, asked: Issuer) -> None:
        self.service = service
        self.issuer, self.asked = Issuer(), asked
        self.spare, self.curve = SigningKey("spare"), SigningKey("curve", "ES256")
        self.issuer.keys.append(self.curve)
        secret = {"kid": "secret", "kty": "oct", "k": part(b"secret"), "alg": "HS256"}
        for_encryption = {**self.spare.jwk, "kid": "encryption", "use": "enc"}
        weak = SigningKey("weak", bits=1024)
        self.weak = weak
        jwks = {"keys": [*self.issuer.jwks["keys"], secret, for_encryption, weak.jwk]}
        office = ProviderRecord(
            "office", self.issuer.url, AUDIENCE, jwks=jwks, required_claims={"hd": "example.org"}, sign_in_s=3600
        )
        disabled = ProviderRecord("disabled", self.issuer.url, "disabled", jwks=jwks, is_disabled=True)
        with service.registry.db.write() as connection:
            providers.add(connection, office)
            providers.add(connection, disabled)
            providers.set_disabled(connection, "disabled", True)
            providers.add(connection, ProviderRecord("asked", asked.url, AUDIENCE, f"{asked.url}/keys"))

    def token(self, header: dict[str, Any] | None = None, signer: SigningKey | None = None, **claims: Any) -> str:
        return self.issuer.token(header=header, signer=signer, **({"hd": "example.org"} | claims))

    def raw(self, header: str | None = None, claims: str | None = None) -> str:
        """A token with a right signature over JSON that is written by hand."""
        usual = json.dumps(self.issuer.claims(hd="example.org"))
        text = f"{part((header or json.dumps(self.issuer.header())).encode())}.{part((claims or usual).encode())}"
        return f"{text}.{part(self.issuer.keys[0].signature(text))}"

    def by_hmac(self, secret: bytes, **header: Any) -> str:
        claims = self.issuer.claims(hd="example.org")
        text = f"{part(self.issuer.header(**({'alg': 'HS256'} | header)))}.{part(claims)}"
        return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def pem(self) -> bytes:
        public = self.issuer.keys[0].private.public_key()
        return bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    folder = tmp_path_factory.mktemp("exchanged")
    with served(Issuer()) as asked, run_guarded_service(folder, "--no-worker", quota_tokens_per_minute="0") as service:
        yield Forger(service, asked)


def _now() -> int:
    return int(time.time())


def _form(token: str, name: str = "office", **changes: str) -> dict[str, str]:
    return {
        "grant_type": exchange.EXCHANGE,
        "audience": oidc_tokens.PROVIDERS + name,
        "subject_token": token,
        "subject_token_type": exchange.SUBJECT_TYPES[0],
        **changes,
    }


def _asked(forger: Forger, form: dict[str, str]) -> tuple[int, bytes]:
    answer = forger.service.http.post("/token", data=form)
    return answer.status_code, answer.content


def _spoilt(token: str, change: Callable[[list[str]], list[str]]) -> str:
    return ".".join(change(token.split(".")))


def _with(forger: Forger, extra: str) -> str:
    return json.dumps(forger.issuer.claims(hd="example.org"))[:-1] + f", {extra}}}"


Make = Callable[[Forger], str]
FORGED: dict[str, Make] = {
    "none": lambda f: _spoilt(f.token(f.issuer.header(alg="none")), lambda p: [*p[:2], ""]),
    "none with a signature": lambda f: f.token(f.issuer.header(alg="none")),
    "nOnE": lambda f: f.token(f.issuer.header(alg="nOnE")),
    "algorithm missing": lambda f: f.token(f.issuer.header(alg=None)),
    "algorithm a list": lambda f: f.token(f.issuer.header(alg=["RS256"])),
    "algorithm RS512": lambda f: f.token(f.issuer.header(alg="RS512")),
    "algorithm PS256": lambda f: f.token(f.issuer.header(alg="PS256")),
    "algorithm of another kind of key": lambda f: f.token(f.issuer.header(alg="ES256")),
    "another kind of key": lambda f: f.token(f.issuer.header(kid="curve")),
    "HS256 with the PEM": lambda f: f.by_hmac(f.pem()),
    "HS256 with the JWK": lambda f: f.by_hmac(json.dumps(f.issuer.keys[0].jwk).encode()),
    "HS256 with a secret among the keys": lambda f: f.by_hmac(b"secret", kid="secret"),
    "HMAC called RS256": lambda f: f.by_hmac(f.pem(), alg="RS256"),
    "kid missing": lambda f: f.token(f.issuer.header(kid=None)),
    "kid unknown": lambda f: f.token(f.issuer.header(kid="key-2")),
    "kid a path": lambda f: f.token(f.issuer.header(kid="../../dev/null")),
    "kid a number": lambda f: f.token(f.issuer.header(kid=1)),
    "kid of a key for encryption": lambda f: f.token(f.issuer.header(kid="encryption"), f.spare),
    "kid of a weak key": lambda f: f.token(f.issuer.header(kid="weak"), f.weak),
    "another key of the same id": lambda f: f.token(signer=SigningKey("key-1")),
    "its own key": lambda f: f.token(f.issuer.header(jwk=f.spare.jwk), f.spare),
    "keys at an address": lambda f: f.token(f.issuer.header(jku=f"{f.asked.url}/keys"), f.spare),
    "certificate at an address": lambda f: f.token(f.issuer.header(x5u=f"{f.asked.url}/keys"), f.spare),
    "certificates": lambda f: f.token(f.issuer.header(x5c=["AAAA"])),
    "crit": lambda f: f.token(f.issuer.header(crit=["exp"])),
    "b64": lambda f: f.token(f.issuer.header(b64=False)),
    "zip": lambda f: f.token(f.issuer.header(zip="DEF")),
    "an access token of the issuer": lambda f: f.token(f.issuer.header(typ="at+jwt")),
    "a logout token": lambda f: f.token(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    "a logout token by type": lambda f: f.token(f.issuer.header(typ="logout+jwt")),
    "issuer another": lambda f: f.token(iss="https://other.example"),
    "issuer with a slash": lambda f: f.token(iss=f.issuer.url + "/"),
    "issuer in capitals": lambda f: f.token(iss=f.issuer.url.upper()),
    "issuer below": lambda f: f.token(iss=f.issuer.url + ".evil.example"),
    "issuer missing": lambda f: f.token(iss=None),
    "issuer a list": lambda f: f.token(iss=[f.issuer.url]),
    "token of another provider": lambda f: f.asked.token(hd="example.org"),
    "issuer of another provider, its key": lambda f: f.token(iss=f.asked.url),
    "audience another": lambda f: f.token(aud="another-client"),
    "audience of a disabled provider": lambda f: f.token(aud="disabled"),
    "audience a prefix": lambda f: f.token(aud=AUDIENCE + "-2"),
    "audience missing": lambda f: f.token(aud=None),
    "audience a number": lambda f: f.token(aud=1),
    "audience an empty list": lambda f: f.token(aud=[]),
    "audience a list in a list": lambda f: f.token(aud=[[AUDIENCE]]),
    "for others too": lambda f: f.token(aud=[AUDIENCE, "another-client"]),
    "for others too, given to one of them": lambda f: f.token(aud=[AUDIENCE, "x"], azp="x"),
    "the API's audience": lambda f: f.token(aud="https://automl.googleapis.com/"),
    "expired": lambda f: f.token(iat=_now() - 600, exp=_now() - 61),
    "expiry missing": lambda f: f.token(exp=None),
    "expiry a text": lambda f: f.token(exp=str(_now() + 60)),
    "expiry a fraction": lambda f: f.token(exp=_now() + 60.5),
    "expiry true": lambda f: f.token(exp=True),
    "a life of a week": lambda f: f.token(exp=_now() + 7 * 86_400),
    "issued in the future": lambda f: f.token(iat=_now() + 120, exp=_now() + 600),
    "issued missing": lambda f: f.token(iat=None),
    "not yet": lambda f: f.token(nbf=_now() + 120),
    "not yet, as a text": lambda f: f.token(nbf="0"),
    "required claim missing": lambda f: f.token(hd=None),
    "required claim another": lambda f: f.token(hd="evil.example"),
    "required claim true": lambda f: f.token(hd=True),
    "subject missing": lambda f: f.token(sub=None),
    "subject empty": lambda f: f.token(sub=""),
    "subject with a blank": lambda f: f.token(sub="a b"),
    "subject a list": lambda f: f.token(sub=["ada"]),
    "subject twice": lambda f: f.raw(claims=_with(f, '"sub": "eve"')),
    "issuer twice": lambda f: f.raw(claims=_with(f, f'"iss": "{f.issuer.url}"')),
    "algorithm twice": lambda f: f.raw(header=json.dumps(f.issuer.header())[:-1] + ', "alg": "RS256"}'),
    "not a number": lambda f: f.raw(claims=_with(f, '"x": NaN')),
    "claims a list": lambda f: f.raw(claims="[]"),
    "claims no JSON": lambda f: f.raw(claims="{"),
    "claims too deep": lambda f: f.raw(claims=_with(f, '"x": ' + "[" * 12 + "]" * 12)),
    "two parts": lambda f: _spoilt(f.token(), lambda p: p[:2]),
    "four parts": lambda f: _spoilt(f.token(), lambda p: [*p, "AAAA"]),
    "no signature": lambda f: _spoilt(f.token(), lambda p: [*p[:2], ""]),
    "a signature cut": lambda f: _spoilt(f.token(), lambda p: [*p[:2], p[2][:-4]]),
    "claims changed after signing": lambda f: _spoilt(
        f.token(), lambda p: [p[0], part(f.issuer.claims(hd="example.org", sub="eve")), p[2]]
    ),
    "padding": lambda f: f.token() + "=",
    "13 KiB": lambda f: f.token(padding="x" * 9600),
    "a token that an account has signed": lambda f: f.service.owner.signed(),
    "an access token": lambda f: f.service.registry.token(f.service.owner),
    "a word": lambda f: "anything",
    "nothing": lambda f: "",
}


def test_there_are_enough() -> None:
    assert len(FORGED) >= 60


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_has_the_answer_of_all_others(forger: Forger, name: str) -> None:
    expected = {"error": "invalid_grant", "error_description": "Invalid subject token."}
    assert _asked(forger, _form(FORGED[name](forger))) == (400, json.dumps(expected).encode() + b"\n")
    for kind in (exchange.REFRESH_TOKEN_TYPE, exchange.ACCESS_TOKEN_TYPE):  # signing in is no way round
        refused = _asked(forger, _form(FORGED[name](forger), requested_token_type=kind))
        assert json.loads(refused[1])["error"] == "invalid_grant"


@pytest.mark.parametrize("audience", ["nobody", "disabled", "", "office/", "Office", "asked"])
def test_another_provider_has_that_answer_too(forger: Forger, audience: str) -> None:
    assert _asked(forger, _form(forger.token(), audience)) == _asked(forger, _form("anything"))


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_costs_one_verification(forger: Forger, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db, rules = forger.service.registry.db, authenticate.TokenRules()
    judge = federation.Federation(index.IndexReader(db), rules.skew_s)
    verified = []
    monkeypatch.setattr(judge, "_fail_slowly", lambda: verified.append("decoy"))
    real = oidc_tokens.verify

    def verify(text: str, token: Any, key: Any) -> None:
        verified.append("signature")
        real(text, token, key)

    monkeypatch.setattr(oidc_tokens, "verify", verify)
    with pytest.raises(oidc_tokens.TokenRefused):
        judge.judged("office", FORGED[name](forger))
    assert len(verified) == 1


ACCEPTED: dict[str, Make] = {
    "as it is": lambda f: f.token(),
    "without a type": lambda f: f.token(f.issuer.header(typ=None)),
    "with a thumbprint": lambda f: f.token(f.issuer.header(x5t="AAAA")),
    "by a curve": lambda f: f.token({"alg": "ES256", "kid": "curve"}, f.curve),
    "for a list of one": lambda f: f.token(aud=[AUDIENCE]),
    "expired by 55 s": lambda f: f.token(iat=_now() - 600, exp=_now() - 55),
    "with many claims": lambda f: f.token(groups=["g" * 20] * 100),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_provider_issues_is_taken(forger: Forger, name: str) -> None:
    status_code, content = _asked(forger, _form(ACCEPTED[name](forger)))
    assert status_code == 200, content
    headers = {"Authorization": f"Bearer {json.loads(content)['access_token']}"}
    denied = forger.service.http.get(PATH, headers=headers).json()["error"]
    assert denied["details"][0]["reason"] == "IAM_PERMISSION_DENIED"  # known, and without a role
    member = "principal://boxwright/providers/office/subject/ada"
    forger.service.registry.grant(member, "roles/automl.viewer", "projects/demo")
    assert forger.service.http.get(PATH, headers=headers).status_code == 200
    forger.service.registry.revoke(member, "roles/automl.viewer", "projects/demo")


def test_a_providers_token_is_no_bearer_token(forger: Forger) -> None:
    answers = {
        forger.service.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).content
        for token in (forger.token(), forger.token(aud="https://automl.googleapis.com/"), "anything")
    }
    assert len(answers) == 1


def test_keys_are_asked_for_where_the_operator_said_and_seldom(forger: Forger) -> None:
    assert _asked(forger, _form(forger.asked.token(), "asked"))[0] == 200
    for number in range(20):
        forged = forger.asked.token(header=forger.asked.header(kid=f"forged-{number}", typ="JWT"))
        assert _asked(forger, _form(forged, "asked"))[0] == 400
    assert set(forger.asked.asked) == {"/keys"}
    assert len(forger.asked.asked) <= 2


def test_no_subject_token_is_in_the_logs(forger: Forger) -> None:
    for token in (forger.token(), forger.token(hd="evil.example")):
        _asked(forger, _form(token))
        for path in (forger.service.folder / "service.log", *forger.service.data_dir.glob("audit/*.jsonl")):
            text = path.read_text()
            assert token.split(".")[1] not in text
            assert token.split(".")[2] not in text
    assert "event=subject_token_refused reason='claim hd'" in forger.service.log
