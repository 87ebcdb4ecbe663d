"""Access tokens of accounts for others: for how long, for what, and when they end."""

from __future__ import annotations

import time

import pytest
from tests.support.access.credentials import CLOUD_SCOPE, Account, Registry

from boxwright import callers, errors
from boxwright.access import accounts, authenticate, decide, impersonation, index, quotas, refusals

METHOD = authenticate.GENERATE_ACCESS_TOKEN
IAM_SCOPE = "https://www.googleapis.com/auth/iam"
CREATOR = "roles/iam.serviceAccountTokenCreator"
PERMISSION = "iam.serviceAccounts.getAccessToken"


class World:
    """Two accounts, and what gives tokens of one to the other."""

    def __init__(self, registry: Registry, life_s: float = 3600.0) -> None:
        self.registry = registry
        self.target, self.actor = registry.account("target"), registry.account("actor", "elsewhere")
        self.reader = index.IndexReader(registry.db)
        self.authenticator = authenticate.Authenticator(registry.db, self.reader, authenticate.TokenRules())
        self.decider = decide.PolicyDecider(registry.db, self.reader, self.authenticator)
        self.given = impersonation.Impersonation(registry.db, self.reader, life_s, quotas.Quotas(quotas.QuotaLimits()))
        self.name = f"projects/-/serviceAccounts/{self.target.email}"

    def may(self, account: Account, name: str | None = None) -> bool:
        caller = self.caller(self.registry.token(account))
        try:
            self.decider.check(caller, METHOD, [callers.Requirement(PERMISSION, name or self.name)])
        except errors.ApiError:
            return False
        return True

    def caller(self, token: str) -> callers.Caller:
        return self.authenticator.admit("m", [("authorization", f"Bearer {token}")])

    def issued(self, caller: callers.Caller | None = None, life_s: float | None = None) -> str:
        return self.given.issue(
            self.name, [CLOUD_SCOPE], life_s, caller or self.caller(self.registry.token(self.actor))
        )[0]


@pytest.fixture
def world(registry: Registry) -> World:
    return World(registry)


def test_a_token_is_the_accounts_and_says_who_has_had_it_given(world: World) -> None:
    caller = world.caller(world.issued())
    assert (caller.member, caller.key) == (world.target.member, "impersonation")
    assert caller.actors == (world.actor.member,)


def test_a_token_ends_with_the_account_that_has_had_it_given(world: World) -> None:
    token = world.issued()
    world.registry.set_disabled(world.actor, True)
    with pytest.raises(errors.ApiError):
        world.caller(token)
    world.registry.set_disabled(world.actor, False)
    assert world.caller(token)
    with world.registry.db.write() as connection:
        accounts.delete(connection, world.actor.record)
    with pytest.raises(errors.ApiError):
        world.caller(token)


def test_who_is_behind_a_chain_of_accounts_stays_known_and_chains_are_short(world: World) -> None:
    caller = world.caller(world.issued())
    for _ in range(impersonation.MAX_ACTORS - 1):
        caller = world.caller(world.issued(caller))
    assert caller.actors == (world.actor.member, *[world.target.member] * 3)
    with pytest.raises(errors.ApiError, match="4 other accounts"):
        world.issued(caller)
    world.registry.set_disabled(world.actor, True)
    with pytest.raises(errors.ApiError):
        world.caller(world.issued(callers.Caller(world.target.member, actors=(world.actor.member,))))


@pytest.mark.parametrize(("asked_s", "life_s"), [(None, 600), (300, 300), (3600, 600), (1, 1)])
def test_a_token_lives_as_long_as_asked_and_allowed(registry: Registry, asked_s: float | None, life_s: int) -> None:
    world, before = World(registry, 600.0), time.time()
    _, ends_s = world.given.issue(world.name, [CLOUD_SCOPE], asked_s, callers.Caller(world.actor.member))
    assert before + life_s - 1 <= ends_s <= time.time() + life_s


@pytest.mark.parametrize("life_s", [0, -1, 3601, 43200])
def test_another_life_is_refused(world: World, life_s: float) -> None:
    with pytest.raises(errors.ApiError, match="lifetime"):
        world.issued(life_s=life_s)


def test_a_token_for_another_api_or_of_a_disabled_account_is_refused(world: World) -> None:
    caller = world.caller(world.registry.token(world.actor))
    with pytest.raises(errors.ApiError, match="scope"):
        world.given.issue(world.name, ["https://www.googleapis.com/auth/devstorage.read_only"], None, caller)
    world.registry.set_disabled(world.target, True)
    world.caller(world.registry.token(world.actor))
    with pytest.raises(errors.ApiError, match="is disabled"):
        world.given.issue(world.name, [CLOUD_SCOPE], None, caller)


@pytest.mark.parametrize("on", ["project", "account", "installation"])
def test_the_role_counts_on_the_account_its_project_and_above(world: World, on: str) -> None:
    assert not world.may(world.actor)
    resource = {
        "project": "projects/demo",
        "account": f"projects/demo/serviceAccounts/{world.target.email}",
        "installation": "installation",
    }[on]
    role = "roles/boxwright.admin" if on == "installation" else CREATOR
    world.registry.grant(world.actor.member, role, resource)
    assert world.may(world.actor)
    assert world.may(world.actor, f"projects/demo/serviceAccounts/{world.target.email}")
    assert world.may(world.actor, f"projects/elsewhere/serviceAccounts/{world.target.email}") == (on == "installation")
    other = world.registry.account("other")
    assert world.may(world.actor, f"projects/-/serviceAccounts/{other.email}") == (on != "account")


def test_owners_of_a_project_do_not_become_admins_of_the_installation(world: World) -> None:
    owner = world.registry.account("owner")
    for role in ("roles/owner", CREATOR):
        world.registry.grant(owner.member, role, "projects/demo")
    assert world.may(owner)
    world.registry.grant(world.target.member, "roles/boxwright.admin", "installation")
    assert not world.may(owner)
    world.registry.revoke(world.target.member, "roles/boxwright.admin", "installation")
    with world.registry.db.write() as connection:
        from boxwright.access import policies

        policies.set_in_group(connection, "group:admins@example.org", world.target.member, True)
    world.registry.grant("group:admins@example.org", "roles/boxwright.admin", "installation")
    assert not world.may(owner)


def test_nothing_tells_an_account_of_others_from_none(world: World) -> None:
    for name in (world.name, "projects/-/serviceAccounts/nobody@demo.boxwright.localhost"):
        with pytest.raises(errors.ApiError) as refused:
            caller = world.caller(world.registry.token(world.actor))
            world.decider.check(caller, METHOD, [callers.Requirement(PERMISSION, name)])
        assert refused.value == refusals.permission_denied(PERMISSION, name) or str(refused.value) == str(
            refusals.permission_denied(PERMISSION, name)
        )


def test_a_policy_of_an_account_ends_with_it_and_one_of_nobody_is_refused(world: World) -> None:
    resource = f"projects/demo/serviceAccounts/{world.target.email}"
    world.registry.grant(world.actor.member, CREATOR, resource)
    with world.registry.db.write() as connection:
        accounts.delete(connection, world.target.record)
    world.registry.account("target")
    assert not world.may(world.actor)
    for wrong in ("projects/demo/serviceAccounts/nobody@x.org", resource.replace("demo/", "-/", 1)):
        with pytest.raises(errors.ApiError):
            world.registry.grant(world.actor.member, CREATOR, wrong)


def test_a_token_for_iam_alone_is_for_this_method_alone(world: World) -> None:
    token = world.actor.signed(aud=None, scope=IAM_SCOPE)
    headers = [("authorization", f"Bearer {token}")]
    assert world.authenticator.admit(METHOD, headers).member == world.actor.member
    with pytest.raises(errors.ApiError):
        world.authenticator.admit("google.cloud.automl.v1.AutoMl.ListDatasets", headers)
