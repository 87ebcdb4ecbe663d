"""Keys of providers: which addresses are asked, how often, and what is done when they do not answer."""

from __future__ import annotations

import datetime
import json
import pathlib

import pytest
from google.rpc import code_pb2
from tests.support.access.issuer import Issuer, SigningKey, served

from boxwright import client_files, errors
from boxwright.access import key_sets
from boxwright.access.oidc_tokens import ProviderRecord

REFUSED = [
    "http://issuer.example",
    "http://169.254.169.254/latest",
    "https://169.254.169.254/latest",
    "https://[fe80::1]/",
    "https://[::ffff:127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "http://2130706433/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://127.1/",
    "https://127.0.0.0x1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://user@issuer.example/",
    "https://user:word@issuer.example/",
    "https://issuer.example/#keys",
    "https://issuer.example\\@127.0.0.1/",
    "https://issuer.example:99999/",
    "https://issu er.example/",
    "https://issuer.example/\n",
    "https:///keys",
    "https://[::1",
    "ftp://issuer.example/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/",
    "issuer.example",
    "",
    "http://localhost.evil.example/",
    "http://127.0.0.1.evil.example/",
    "https://" + "a" * 500 + ".example",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(errors.ApiError) as refused:
        key_sets.check_address(url, "--issuer")
    assert refused.value.code == code_pb2.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example",
        "https://issuer.example:8443/realms/boxes",
        "https://10.0.0.7/keys",
        "https://[fd00::7]/keys",
        "http://localhost:8080",
        "http://127.0.0.1:8080/keys",
        "http://[::1]:8080/keys",
        "http://idp.localhost/",
        "https://issuer.example/keys?tenant=1",
    ],
)
def test_other_addresses_are_asked(url: str) -> None:
    key_sets.check_address(url, "--issuer")


def test_an_issuer_says_where_its_keys_are() -> None:
    with served(Issuer()) as issuer:
        assert key_sets.discover(issuer.url) == f"{issuer.url}/keys"
        assert key_sets.fetch(f"{issuer.url}/keys") == issuer.jwks


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"issuer": "https://another.example"}, "name it exactly so"),
        ({"jwks_uri": "http://169.254.169.254/keys"}, "no machine"),
        ({"jwks_uri": "http://127.0.0.1:1/keys"}, None),
        ({"jwks_uri": "http://localhost:1/keys"}, "--jwks-uri"),
        ({"jwks_uri": "https://10.0.0.1/keys"}, "--jwks-uri"),
        ({"jwks_uri": "file:///etc/passwd"}, "no address"),
        ({"jwks_uri": None}, "does not say"),
    ],
    ids=["another issuer", "metadata server", "another port", "this machine", "a network", "a file", "nothing"],
)
def test_an_issuer_is_not_followed_everywhere(said: dict[str, str | None], text: str | None) -> None:
    with served(Issuer()) as issuer:
        usual = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
        issuer.answers[key_sets.DISCOVERY] = (200, {}, json.dumps(usual | said).encode())
        if text is None:
            assert key_sets.discover(issuer.url) == said["jwks_uri"]
            return
        with pytest.raises(errors.ApiError, match=text):
            key_sets.discover(issuer.url)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((302, {"Location": "/elsewhere"}, b""), "status 302"),
        ((500, {}, b"{}"), "status 500"),
        ((200, {}, b"[]"), "JSON object"),
        ((200, {}, b"<html>"), "with JSON"),
        ((200, {}, b'"' + b"x" * (key_sets.MAX_BYTES + 1) + b'"'), "more than 256 KiB"),
        ((200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08\x00bomb"), "with JSON"),
    ],
    ids=["redirect", "failure", "a list", "a page", "too long", "compressed"],
)
def test_what_is_no_short_json_object_is_not_read(answer: tuple[int, dict[str, str], bytes], text: str) -> None:
    with served(Issuer()) as issuer:
        issuer.answers["/keys"] = answer
        with pytest.raises(errors.ApiError, match=text):
            key_sets.fetch(f"{issuer.url}/keys")
        assert issuer.asked == ["/keys"]


def test_a_certificate_must_be_of_an_authority_that_is_trusted(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    kit = client_files.prepare(tmp_path / "issuer", client_files.HOSTS, 8471, now)
    with served(Issuer(), (kit.server, kit.server_key)) as issuer:
        with pytest.raises(errors.ApiError, match="SSLError"):
            key_sets.fetch(f"{issuer.url}/keys")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(kit.authority))
        assert key_sets.discover(issuer.url) == f"{issuer.url}/keys"
        assert key_sets.fetch(f"{issuer.url}/keys") == issuer.jwks
        usual = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys".replace("https", "http")}
        issuer.answers[key_sets.DISCOVERY] = (200, {}, json.dumps(usual).encode())
        with pytest.raises(errors.ApiError, match="TLS"):  # keys over plain HTTP, of an issuer over TLS
            key_sets.discover(issuer.url)


def test_no_credentials_of_the_machine_are_sent(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen = []

    class Noting(Issuer):
        def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
            seen.append(form)
            return super().answer(path, form)

    import requests

    sent: list[requests.PreparedRequest] = []
    send = requests.Session.send

    def note(self: requests.Session, request: requests.PreparedRequest, **named: object) -> requests.Response:
        sent.append(request)
        return send(self, request, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "send", note)
    with served(Noting()) as issuer:
        key_sets.fetch(f"{issuer.url}/keys")
    assert [request.headers.get("Authorization") for request in sent] == [None]


class Asked:
    """A provider's address, and a clock."""

    def __init__(self) -> None:
        self.now_s, self.count, self.is_down = 0.0, 0, False
        self.issuer = Issuer()
        self.sets = key_sets.KeySets(self.ask, lambda: self.now_s)
        self.provider = ProviderRecord("office", self.issuer.url, "a", f"{self.issuer.url}/keys")

    def ask(self, address: str) -> dict[str, object]:
        assert address == self.provider.jwks_uri
        self.count += 1
        if self.is_down:
            raise errors.failed_precondition("down")
        return self.issuer.jwks

    def has(self, kid: str) -> bool:
        return self.sets.find(self.provider, kid) is not None


def test_keys_are_kept_for_ten_minutes() -> None:
    asked = Asked()
    assert asked.has("key-1") and asked.has("key-1")
    asked.now_s = key_sets.FRESH_S
    assert asked.has("key-1") and asked.count == 1
    asked.now_s += 1
    assert asked.has("key-1") and asked.count == 2


def test_an_unknown_key_is_asked_for_once_in_a_minute() -> None:
    asked = Asked()
    assert asked.has("key-1")
    asked.issuer.keys = [SigningKey("key-2")]
    assert not asked.has("key-2") and asked.count == 1
    asked.now_s = key_sets.RETRY_S
    assert asked.has("key-2") and asked.count == 2
    assert not asked.has("key-1")  # a key that the issuer has taken back is not kept
    for number in range(100):
        assert not asked.has(f"forged-{number}")
    assert asked.count == 2


def test_an_issuer_that_is_down_is_asked_once_in_a_minute_and_its_keys_are_good_for_a_day() -> None:
    asked = Asked()
    assert asked.has("key-1")
    asked.is_down = True
    asked.now_s = key_sets.FRESH_S + 1
    assert asked.has("key-1") and asked.has("key-1") and asked.count == 2
    asked.now_s = key_sets.STALE_S
    assert asked.has("key-1")
    asked.now_s = key_sets.STALE_S + 1
    assert not asked.has("key-1")
    never = Asked()
    never.is_down = True
    assert not never.has("key-1") and not never.has("key-1") and never.count == 1


def test_keys_of_a_file_are_asked_of_nobody() -> None:
    asked = Asked()
    provider = ProviderRecord("file", asked.issuer.url, "a", jwks=asked.issuer.jwks)
    assert asked.sets.find(provider, "key-1") is not None
    assert asked.sets.find(provider, "key-2") is None
    assert asked.count == 0
