"""Members and roles in the console: granted, taken away, never by mistake."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

import pytest
from tests.console.conftest import World
from tests.support.access.guarded_service import GuardedService, run_guarded_service
from tests.support.clients.console_page import ConsolePage, open_console

MEMBER = "input[placeholder='user:ada@example.org']"
ROWS = (
    "[...document.querySelectorAll('main table tbody tr')].map((row) => row.innerText.replaceAll(/\\s+/g, ' ').trim())"
)


def test_a_service_with_open_access_says_that_there_are_no_roles(world: World, console: ConsolePage) -> None:
    text = console.open("settings")
    assert "everybody who reaches this service may do everything" in text
    assert "boxwright accounts create NAME --project demo" in text
    before = len(console.requests())
    console.page.run(
        f"(() => {{ const one = [...document.querySelectorAll('main select')].find((e) => [...e.options].some((o) => "
        f"o.value.includes('/models/{world.ids['model']}'))); one.value = [...one.options].find((o) => "
        "o.value.includes('/models/')).value; one.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    console.until("document.querySelector('main').innerText.includes('models.deploy')")
    asked = {url.partition("/v1/")[2] for _, url in console.requests()[before:]}
    assert any(one.endswith(f"models/{world.ids['model']}:testIamPermissions") for one in asked)


@pytest.fixture
def guarded(tmp_path: pathlib.Path) -> Iterator[GuardedService]:
    (tmp_path / "service").mkdir()
    with run_guarded_service(tmp_path / "service") as running:
        yield running


@pytest.mark.full
def test_roles_are_granted_and_taken_away_and_nobody_is_overwritten(
    guarded: GuardedService, tmp_path: pathlib.Path
) -> None:
    registry = guarded.registry
    second, third = registry.account("second"), registry.account("third")
    with open_console(tmp_path, f"{guarded.url}/console/") as console:
        console.page.go(f"{guarded.url}/console/")
        console.type_into("input[type=password]", registry.api_key(guarded.owner))
        console.click("Sign in")
        console.until("document.body.innerText.includes('No dataset yet')")
        console.page.run("location.hash = '#/settings'")
        console.until(f"{ROWS}.length === 1")
        console.type_into(MEMBER, second.member)
        console.click("Grant the role")
        wanted = f"{second.member} automl.viewer"
        console.until(f"{ROWS}.some((row) => row.startsWith({json.dumps(wanted)}))")
        assert _held(guarded)["roles/automl.viewer"] == [second.member]

        registry.grant(
            third.member, "roles/automl.editor", "projects/demo"
        )  # while the page shows what was there before
        console.page.run(f"[...document.querySelectorAll('main tbody button')].find((one) => one.innerText.includes("
                         f"{json.dumps(second.member)})).click()")  # fmt: skip
        console.until("document.querySelector('[role=alert]')?.innerText.includes('ABORTED')")
        console.until(f"{ROWS}.length === 3")
        assert third.member in _held(guarded)["roles/automl.editor"]

        console.page.run(f"[...document.querySelectorAll('main tbody button')].find((one) => one.innerText.includes("
                         f"{json.dumps(guarded.owner.member + ' roles/owner')})).click()")  # fmt: skip
        console.until(
            "[...document.querySelectorAll('[role=alert]')].some((one) => one.innerText.includes('FAILED_PRECONDITION'))"
        )
        assert _held(guarded)["roles/owner"] == [guarded.owner.member]


def _held(guarded: GuardedService) -> dict[str, list[str]]:
    """Members by role of the project, as the API has them."""
    key = guarded.registry.api_key(guarded.owner)
    policy = guarded.http.get("/v1/projects/demo:getIamPolicy", headers={"x-goog-api-key": key}).json()
    return {one["role"]: one["members"] for one in policy["bindings"]}
