"""Policies in the database: what may be granted where, etags, and that somebody is left who may change them."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st
from tests.support.access.credentials import Registry

from boxwright import errors
from boxwright.access import accounts, authenticate, index, members, policies, roles

PROJECT = "projects/demo"
MODEL = f"{PROJECT}/locations/l/models/m"
ADA, EVE = "user:ada@example.org", "user:eve@example.org"


def write(registry: Registry, resource: str, wanted: dict[str, list[str]], etag: bytes = b"") -> policies.StoredPolicy:
    with registry.db.write() as connection:
        return policies.write(connection, resource, wanted, etag)


def refusal(registry: Registry, resource: str, wanted: dict[str, list[str]], etag: bytes = b"") -> int:
    with pytest.raises(errors.ApiError) as caught:
        write(registry, resource, wanted, etag)
    return caught.value.code


def test_a_policy_is_what_was_written_and_each_change_has_an_etag(registry: Registry) -> None:
    with registry.db.read() as connection:
        empty = policies.read(connection, PROJECT)
    assert empty.bindings == {}
    first = write(registry, PROJECT, {"roles/owner": [EVE, ADA], "roles/automl.viewer": [EVE]}, empty.etag)
    assert first.bindings == {"roles/automl.viewer": (EVE,), "roles/owner": (ADA, EVE)}
    second = write(registry, PROJECT, {"roles/owner": [ADA]}, first.etag)
    assert second.etag not in (first.etag, empty.etag)
    assert refusal(registry, PROJECT, {"roles/owner": [EVE]}, first.etag) == code_pb2.ABORTED
    assert write(registry, PROJECT, {"roles/owner": [EVE]}).bindings == {"roles/owner": (EVE,)}


def test_a_project_keeps_somebody_who_may_change_its_policy(registry: Registry) -> None:
    write(registry, PROJECT, {"roles/owner": [ADA]})
    assert refusal(registry, PROJECT, {"roles/automl.admin": [ADA]}) == code_pb2.FAILED_PRECONDITION
    assert refusal(registry, PROJECT, {}) == code_pb2.FAILED_PRECONDITION
    gone = {"roles/owner": ["deleted:serviceAccount:ci@demo.boxwright.localhost?uid=1"]}
    assert refusal(registry, PROJECT, gone) == code_pb2.FAILED_PRECONDITION
    registry.grant(ADA, roles.ADMIN, roles.INSTALLATION)
    write(registry, PROJECT, {})


@pytest.mark.parametrize(
    ("resource", "role"),
    [
        (MODEL, "roles/owner"),
        (f"{PROJECT}/locations/l/datasets/d", "roles/automl.predictor"),
        (PROJECT, roles.ADMIN),
        (PROJECT, "roles/nobody"),
        (PROJECT, ""),
    ],
)
def test_a_role_is_granted_where_it_belongs(registry: Registry, resource: str, role: str) -> None:
    assert refusal(registry, resource, {role: [ADA]}) == code_pb2.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "member",
    [
        *("", "ada@example.org", "user:", "user:ada", "allUsers", "robot:x@y", "user:a b@c", "principal://elsewhere/x"),
        *("user:" + "a" * 400 + "@x", "serviceAccount:x@y z", "deleted:user:a@b?uid=1", "domain:-x", "user:a@b\n"),
    ],
)
def test_what_is_no_member_is_refused(registry: Registry, member: str) -> None:
    assert refusal(registry, MODEL, {"roles/automl.viewer": [member]}) == code_pb2.INVALID_ARGUMENT


def test_more_members_than_google_allows_are_refused(registry: Registry) -> None:
    many = [f"user:u{number}@example.org" for number in range(policies.MAX_MEMBERS + 1)]
    assert refusal(registry, MODEL, {"roles/automl.viewer": many}) == code_pb2.INVALID_ARGUMENT
    assert len(write(registry, MODEL, {"roles/automl.viewer": many[1:]}).bindings["roles/automl.viewer"]) == 1500


def test_addresses_do_not_differ_by_case(registry: Registry) -> None:
    registry.grant("user:Ada@Example.ORG", "roles/automl.viewer", PROJECT)
    with registry.db.read() as connection:
        assert policies.read(connection, PROJECT).bindings == {"roles/automl.viewer": (ADA,)}
    registry.revoke("user:ADA@example.org", "roles/automl.viewer", PROJECT)
    with registry.db.read() as connection:
        assert policies.read(connection, PROJECT).bindings == {}


def test_a_policy_ends_with_its_resource(registry: Registry) -> None:
    registry.grant(ADA, "roles/automl.viewer", MODEL)
    reader = index.IndexReader(registry.db)
    assert reader.current().allows([ADA], "automl.models.get", [MODEL])
    with registry.db.write() as connection:
        policies.forget(connection, MODEL)
    assert not reader.current().allows([ADA], "automl.models.get", [MODEL])


COUNTED = {
    "user:ada@example.org": "domain:example.org",
    "principal://boxwright/providers/corp/subject/42": "principalSet://boxwright/providers/corp/*",
}


@pytest.mark.parametrize("member", COUNTED)
def test_a_caller_counts_as_its_domain_or_provider_and_as_everybody(member: str) -> None:
    found = members.counted_as(member, ("group:team@example.org",))
    assert set(found) == {member, "group:team@example.org", "allAuthenticatedUsers", COUNTED[member]}
    assert members.counted_as("", ("group:team@example.org",)) == ()


def test_a_service_account_does_not_count_as_the_domain_of_its_address() -> None:
    member = "serviceAccount:ci@demo.boxwright.localhost"
    assert members.counted_as(member, ()) == (member, "allAuthenticatedUsers")


@given(st.text(max_size=60))
def test_only_members_have_the_form_of_one(text: str) -> None:
    try:
        members.check(text, "member")
    except errors.ApiError:
        return
    assert text == "allAuthenticatedUsers" or ":" in text
    assert "\n" not in text


def test_who_is_in_a_group_has_what_the_group_has(registry: Registry) -> None:
    account, team = registry.account("ci"), "group:team@example.org"
    registry.grant(team, "roles/automl.viewer", PROJECT)
    authenticator = authenticate.Authenticator(registry.db, index.IndexReader(registry.db), authenticate.TokenRules())
    headers = [
        [("authorization", f"Bearer {account.signed()}")],
        [("authorization", f"Bearer {registry.token(account)}")],
        [("x-goog-api-key", registry.api_key(account))],
    ]
    assert [authenticator.admit("m", one).groups for one in headers] == [(), (), ()]
    with registry.db.write() as connection:
        assert policies.set_in_group(connection, "group:Team@example.org", account.member, True)
        assert not policies.set_in_group(connection, team, account.member, True)
        assert policies.groups(connection) == [(team, account.member)]
    for one in headers:
        caller = authenticator.admit("m", one)
        assert caller.groups == (team,)
        who = members.counted_as(caller.member, caller.groups)
        assert index.load(registry.db._engine.connect()).allows(who, "automl.models.get", [PROJECT])
    with registry.db.write() as connection:
        accounts.delete(connection, account.record)
        assert policies.groups(connection) == []


@pytest.mark.parametrize(
    ("group", "member"),
    [("user:team@example.org", ADA), ("group:team@example.org", "group:more@example.org"), ("team", ADA)],
)
def test_a_group_has_people_and_accounts(registry: Registry, group: str, member: str) -> None:
    with registry.db.write() as connection, pytest.raises(errors.ApiError):
        policies.set_in_group(connection, group, member, True)
