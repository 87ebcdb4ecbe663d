"""Where people sign in: what is taken of an issuer's description, how often it is asked, what is wrong with a setting."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pytest
from google.rpc import code_pb2
from tests.support.access.credentials import Registry

from boxwright import errors
from boxwright.access import key_sets, providers, sign_in
from boxwright.access.index import IndexReader
from boxwright.access.oidc_tokens import ProviderRecord

ISSUER = "https://login.example.org"
OFFICE = ProviderRecord("office", ISSUER, "boxwright", f"{ISSUER}/keys", sign_in_s=3600)
FOUND = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
    "token_endpoint": "https://token.example.org:8443/token",
    "end_session_endpoint": f"{ISSUER}/logout",
    "code_challenge_methods_supported": ["plain", "S256"],
    "response_types_supported": ["code", "id_token"],
}


def test_a_description_is_read() -> None:
    found = sign_in.described(OFFICE, FOUND)
    assert dataclasses.astuple(found) == (
        "office",
        ISSUER,
        "boxwright",
        f"{ISSUER}/authorize?tenant=1",
        "https://token.example.org:8443/token",
        f"{ISSUER}/logout",
    )
    assert not found.is_away
    assert sign_in.origin_of(found.token_endpoint) == "https://token.example.org:8443"


@pytest.mark.parametrize(
    "left_out", ["end_session_endpoint", "code_challenge_methods_supported", "response_types_supported"]
)
def test_what_an_issuer_need_not_say_may_be_missing(left_out: str) -> None:
    assert not sign_in.described(OFFICE, {name: value for name, value in FOUND.items() if name != left_out}).is_away


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"authorization_endpoint": None}, "authorization_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"authorization_endpoint": "http://login.example.org/authorize"}, "authorization_endpoint"),
        ({"token_endpoint": "http://localhost:1/token"}, "token_endpoint"),
        ({"token_endpoint": "https://[fd00::7]/token"}, "token_endpoint"),  # a policy cannot name it
        ({"token_endpoint": "https://a;script-src/token"}, "token_endpoint"),
        ({"token_endpoint": "https://a'unsafe-inline'/token"}, "token_endpoint"),
        ({"token_endpoint": "https://*/token"}, "token_endpoint"),
        ({"token_endpoint": "https://user@login.example.org/token"}, "token_endpoint"),
        ({"token_endpoint": 7}, "token_endpoint"),
        ({"end_session_endpoint": "https://login.example.org/a b"}, "end_session_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "S256"),
        ({"response_types_supported": ["id_token"]}, "code"),
    ],
)
def test_a_description_that_no_browser_may_follow_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(errors.ApiError, match=named) as refused:
        sign_in.described(OFFICE, FOUND | change)
    assert refused.value.code == code_pb2.FAILED_PRECONDITION


class Asked:
    """Issuers that answer, or do not."""

    def __init__(self) -> None:
        self.count = 0
        self.is_away = False

    def __call__(self, issuer: str) -> dict[str, Any]:
        self.count += 1
        if self.is_away:
            raise errors.failed_precondition(f"{issuer} cannot be reached.")
        return {**FOUND, "issuer": issuer}


@dataclasses.dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def _added(registry: Registry, *records: ProviderRecord) -> None:
    with registry.db.write() as connection:
        for record in records:
            providers.add(connection, record)


def test_an_issuer_is_asked_again_after_ten_minutes_and_once_in_a_minute_while_it_is_away(registry: Registry) -> None:
    _added(registry, OFFICE)
    asked, clock = Asked(), Clock()
    asked.is_away = True
    offered = sign_in.SignInProviders(IndexReader(registry.db), ["office", "office"], asked, clock)
    assert [one.is_away for one in offered.listed()] == [True]
    asked.is_away = False
    assert [one.is_away for one in offered.listed()] == [True]
    assert asked.count == 1
    clock.now_s += key_sets.RETRY_S
    assert [one.is_away for one in offered.listed()] == [False]
    offered.listed()
    assert asked.count == 2
    clock.now_s += key_sets.FRESH_S + 1
    asked.is_away = True
    assert [one.is_away for one in offered.listed()] == [False]  # what it has said before is used
    assert asked.count == 3


def test_who_has_a_description_does_not_wait_for_a_new_one(registry: Registry) -> None:
    _added(registry, OFFICE)
    clock, begun, may_end = Clock(), threading.Event(), threading.Event()

    def slow(issuer: str) -> dict[str, Any]:
        if clock.now_s:
            begun.set()
            assert may_end.wait(300)
        return {**FOUND, "issuer": issuer}

    offered = sign_in.SignInProviders(IndexReader(registry.db), ["office"], slow, clock)
    offered.listed()
    clock.now_s = key_sets.FRESH_S + 1
    asking = threading.Thread(target=offered.listed)
    asking.start()
    assert begun.wait(300)
    assert [one.is_away for one in offered.listed()] == [False]
    may_end.set()
    asking.join()


def test_only_enabled_providers_for_people_are_listed_in_the_order_of_the_setting(registry: Registry) -> None:
    others = [
        dataclasses.replace(OFFICE, name=name, issuer=f"https://{name}.example.org", sign_in_s=life)
        for name, life in (("aa", 60), ("bb", 60), ("robots", 0))
    ]
    _added(registry, OFFICE, *others)
    reader = IndexReader(registry.db)
    offered = sign_in.SignInProviders(reader, ["bb", "robots", "nobody", "office"], Asked())
    assert [one.name for one in offered.listed()] == ["bb", "office"]
    with registry.db.write() as connection:
        providers.set_disabled(connection, "bb", True)
    assert [one.name for one in offered.listed()] == ["office"]
    with registry.db.write() as connection:
        providers.delete(connection, "office")
        providers.add(connection, dataclasses.replace(OFFICE, issuer="https://new.example.org"))
    assert [one.issuer for one in offered.listed()] == ["https://new.example.org"]


def test_what_is_wrong_with_the_setting_is_named() -> None:
    known = [
        OFFICE,
        dataclasses.replace(OFFICE, name="robots", sign_in_s=0),
        dataclasses.replace(OFFICE, name="closed", is_disabled=True),
    ]
    asked = Asked()
    assert sign_in.findings(known, ["office"], asked) == []
    found = sign_in.findings(known, ["nobody", "robots", "closed"], asked)
    assert [
        part in text
        for part, text in zip(("no provider nobody", "--sign-in-hours 0", "enable closed"), found, strict=True)
    ]
    assert len(found) == 3
    asked.is_away = True
    assert sign_in.findings(known, ["office"], asked) == [f"nobody can sign in at office: {ISSUER} cannot be reached."]
