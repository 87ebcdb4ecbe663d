"""Accounts, policies and tokens in every kind of database: what one process changes, another sees at its next question."""

from __future__ import annotations

import pathlib
import threading

import pytest
from tests.support.access.credentials import Registry

from boxwright.access import authenticate, index, secret_texts

METHOD = "google.cloud.automl.v1.AutoMl.GetModel"


@pytest.fixture
def two(database_place):
    """Two openings of one database, as of two processes."""
    first, second = Registry(database_place), Registry(database_place)
    yield first, second
    first.close()
    second.close()


def test_a_change_is_seen_at_the_next_question(two) -> None:
    first, second = two
    reader = index.IndexReader(second.db)
    assert reader.current().accounts == {}
    account = first.account("ci")
    assert reader.current().accounts.keys() == {account.member}
    unchanged = reader.current()
    assert reader.current() is unchanged
    first.grant(account.member, "roles/automl.viewer", "projects/demo")
    assert reader.current().allows([account.member], "automl.models.get", ["projects/demo"])
    first.revoke(account.member, "roles/automl.viewer", "projects/demo")
    assert not reader.current().allows([account.member], "automl.models.get", ["projects/demo"])


def test_every_credential_is_taken_and_ended(two) -> None:
    first, second = two
    account = first.account("ci")
    authenticator = authenticate.Authenticator(second.db, index.IndexReader(second.db), authenticate.TokenRules())
    token, key = first.token(account), first.api_key(account, ["automl.models.get"])
    for headers in ([("authorization", f"Bearer {one}")] for one in (account.signed(), token)):
        assert authenticator.admit(METHOD, headers).member == account.member
    assert authenticator.admit(METHOD, [("x-goog-api-key", key)]).narrowed_to == {"automl.models.get"}
    first.set_disabled(account, True)
    for headers in ([("authorization", f"Bearer {account.signed()}")], [("x-goog-api-key", key)]):
        with pytest.raises(Exception, match=r"credentials|not valid"):
            authenticator.admit(METHOD, headers)


def test_who_may_not_wait_is_told_so_where_the_answer_takes_a_while(two, database_place) -> None:
    first, second = two
    reader = index.IndexReader(second.db)
    assert second.db.is_local == isinstance(database_place, pathlib.Path)
    if not second.db.is_local:
        with pytest.raises(index.WouldWait):
            reader.current(may_wait=False)
        return
    reader.current()
    assert reader.current(may_wait=False).accounts == {}
    first.account("ci")
    with pytest.raises(index.WouldWait):
        reader.current(may_wait=False)
    assert len(reader.current().accounts) == 1
    assert len(reader.current(may_wait=False).accounts) == 1


def test_many_threads_ask_one_reader(two) -> None:
    first, second = two
    reader, account = index.IndexReader(second.db), first.account("ci")
    digest = secret_texts.digest(first.token(account))
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(50):
                found, token = reader.with_token(digest)
                assert account.member in found.accounts
                assert token is not None
                assert token.member == account.member
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(5):
        first.grant(f"user:u{number}@example.org", "roles/automl.viewer", "projects/demo")
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(reader.current().granted["projects/demo"]) == 5


def test_what_is_wrong_with_the_database_is_named(tmp_path) -> None:
    registry = Registry(tmp_path / "metadata.sqlite")
    reader = index.IndexReader(registry.db)
    assert reader.current().version == 0
    with registry.db.write() as connection:
        connection.exec_driver_sql("DROP TABLE access_versions")
    with pytest.raises(Exception, match="access_versions"):
        reader.current()
    registry.close()
