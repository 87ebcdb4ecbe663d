"""Grants in the database: they add up, go one by one, and are read for work as they are at that moment."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2
from tests.support.access.credentials import Registry

from boxwright import errors, objects
from boxwright.access import bucket_grants, index, policies
from boxwright.objects.grants import READ, WRITE

IN, OUT = objects.ObjectUri.parse("gs://photos/in/1.jpg"), objects.ObjectUri.parse("gs://photos/out/")


def test_grants_add_up_and_go_one_by_one(registry: Registry) -> None:
    work = bucket_grants.WorkGrants(index.IndexReader(registry.db))
    ci = registry.account("ci").member
    assert not work.of(ci, ()).allows(IN, READ)
    registry.grant_folder(ci, "gs://photos/in/", read=True)
    registry.grant_folder(ci, "gs://photos/", write=True)
    now = work.of(ci, ())
    assert (now.allows(IN, READ), now.allows(IN, WRITE), now.allows(OUT, READ)) == (True, True, False)
    registry.grant_folder(ci, "gs://photos/in/", write=True)
    with registry.db.read() as connection:
        assert [(member, str(grant), grant.verbs) for member, grant in bucket_grants.listed(connection)] == [
            (ci, "gs://photos/", "write"),
            (ci, "gs://photos/in/", "read,write"),
        ]
    registry.revoke_folder(ci, "gs://photos/in/")
    assert not work.of(ci, ()).allows(IN, READ)
    with pytest.raises(errors.ApiError, match="has no such grant"):
        registry.revoke_folder(ci, "gs://photos/in/")


@pytest.mark.parametrize("held_by", ["domain:example.org", "group:team@example.org", "allAuthenticatedUsers"])
def test_what_is_granted_to_many_is_granted_to_each(registry: Registry, held_by: str) -> None:
    work = bucket_grants.WorkGrants(index.IndexReader(registry.db))
    ada = registry.account("ada", email="ada@example.org").member
    with registry.db.write() as connection:
        policies.set_in_group(connection, "group:team@example.org", ada, True)
    registry.grant_folder(held_by, "gs://photos/in/", read=True)
    assert work.of(ada, ()).allows(IN, READ)


def test_a_group_that_was_left_gives_nothing_to_work_that_had_begun_as_its_member(registry: Registry) -> None:
    work = bucket_grants.WorkGrants(index.IndexReader(registry.db))
    ci, team = registry.account("ci").member, "group:team@example.org"
    with registry.db.write() as connection:
        policies.set_in_group(connection, team, ci, True)
    registry.grant_folder(team, "gs://photos/in/", read=True)
    assert work.of(ci, (team,)).allows(IN, READ)
    with registry.db.write() as connection:
        policies.set_in_group(connection, team, ci, False)
    assert not work.of(ci, (team,)).allows(IN, READ)
    vouched = "principalSet://boxwright/providers/p/group/g"
    registry.grant_folder(vouched, "gs://photos/in/", read=True)
    assert work.of(ci, (vouched,)).allows(IN, READ)


def test_who_is_disabled_or_deleted_may_have_nothing_done(registry: Registry) -> None:
    work = bucket_grants.WorkGrants(index.IndexReader(registry.db))
    account = registry.account("ci")
    registry.set_disabled(account, True)
    for member in (account.member, f"deleted:{account.member}?uid=1"):
        with pytest.raises(errors.ApiError, match="disabled or deleted") as refused:
            work.of(member, ())
        assert refused.value.code == code_pb2.PERMISSION_DENIED
    registry.set_disabled(account, False)
    assert work.of(account.member, ()).given == ()
