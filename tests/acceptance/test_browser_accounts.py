"""A real browser and a service with accounts: what pages can do with a stolen credential, and what with none.

Pages of another origin do nothing and read nothing, whatever they know. A page of the service's own origin is a client like
any other: with a bearer token in a header it may what its account may, and without one nothing; there are no cookies.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.clients import browser, foreign_site

DATASETS = f"/v1/{LOCATION}/datasets"

# Every way in which a page sends a credential that it knows; `told` is what the page learns.
TRIALS = """
(async () => {
  const {service, path, token, key} = CHOSEN, told = {};
  const body = name => JSON.stringify({displayName: name, imageObjectDetectionDatasetMetadata: {}});
  const tried = async (name, address, options) => {
    try {
      const answer = await fetch(service + path + address, options);
      told[name] = answer.type === "opaque" ? "opaque" : answer.status + " " + await answer.text();
    } catch (error) { told[name] = "refused: " + error.message }
  };
  const bearer = {Authorization: "Bearer " + token}, json = {"Content-Type": "application/json"};
  await tried("nothing", "", {});
  await tried("bearer", "", {headers: bearer});
  await tried("key", "", {headers: {"x-goog-api-key": key}});
  await tried("key_in_address", "?key=" + key, {});
  await tried("key_opaque", "?key=" + key, {mode: "no-cors", credentials: "include"});
  await tried("token_in_address", "?access_token=" + token, {});
  await tried("create", "", {method: "POST", headers: {...bearer, ...json}, body: body("NAME_json")});
  await tried("create_blob", "?key=" + key, {method: "POST", mode: "no-cors", body: new Blob([body("NAME_blob")])});
  await tried("delete", "/VICTIM", {method: "DELETE", headers: bearer});
  await tried("upgrade", "/VICTIM", {method: "POST", headers: {...bearer, "X-HTTP-Method-Override": "DELETE"}});
  told.beacon = navigator.sendBeacon(service + path + "?key=" + key, new Blob([body("NAME_beacon")]));
  told.cookie = document.cookie;
  return told;
})()
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedService]:
    with run_guarded_service(tmp_path_factory.mktemp("guarded"), "--no-worker") as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.open_page(tmp_path_factory.mktemp("browser"), foreign_site.RESOLVING) as opened:
        opened.command("Page.setBypassCSP", enabled=True)  # pages of ours that have scripts have a policy for them
        yield opened


@pytest.fixture(scope="module")
def api_key(service: GuardedService) -> str:
    return service.registry.api_key(service.owner)


def _call(service: GuardedService, verb: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {service.owner.signed()}"}
    answer: dict[str, Any] = service.http.request(verb, path, json=body, headers=headers).json()
    return answer


def _names(service: GuardedService) -> set[str]:
    return {one["displayName"] for one in _call(service, "GET", DATASETS).get("datasets", [])}


@pytest.fixture
def victim(service: GuardedService) -> str:
    """The id of a dataset that a page tries to delete."""
    made = _call(service, "POST", DATASETS, {"displayName": "victim", "imageObjectDetectionDatasetMetadata": {}})
    return str(made["response"]["name"].rpartition("/")[2])


def _tried(page: browser.Page, service: GuardedService, api_key: str, victim: str, name: str, address: str) -> Any:
    chosen = {"service": address, "path": DATASETS, "token": service.owner.signed(), "key": api_key}
    return page.run(TRIALS.replace("CHOSEN", json.dumps(chosen)).replace("VICTIM", victim).replace("NAME", name))


def _assert_nothing(service: GuardedService, told: dict[str, str], before: set[str]) -> None:
    assert _names(service) == before
    secrets = ("victim", "datasets/")
    for trial, answer in told.items():
        if trial not in ("beacon", "cookie"):
            assert answer == "opaque" or answer.startswith(("refused", "403 ")), (trial, answer)
            assert not any(secret in answer for secret in secrets), (trial, answer)
    assert told["cookie"] == ""


def test_a_page_of_another_origin_can_do_nothing_with_a_stolen_credential(
    service: GuardedService, page: browser.Page, api_key: str, victim: str
) -> None:
    before = _names(service)
    with foreign_site.serving() as address:
        page.go(address)
        told = _tried(page, service, api_key, victim, "foreign", service.url)
    _assert_nothing(service, told, before)
    page.until(lambda: len(page.statuses(service.url)) >= len(told) - 1)
    answers = page.statuses(service.url)
    assert {status for _, _, status in answers} == {403}, answers
    assert {verb for verb, _, _ in answers} >= {"GET", "POST", "OPTIONS"}, answers


def test_a_page_under_a_name_that_was_made_to_lead_here_can_do_nothing(
    service: GuardedService, page: browser.Page, api_key: str, victim: str
) -> None:
    before = _names(service)
    rebound = f"http://{foreign_site.NAME}:{service.port}"
    assert "is not served" in page.go(rebound + "/")
    told = _tried(page, service, api_key, victim, "rebound", rebound)  # of one origin, as the browser sees it
    _assert_nothing(service, told, before)
    assert told["bearer"].startswith("403 ") and "is not served" in told["bearer"]


def test_a_page_without_an_origin_can_do_nothing(
    service: GuardedService, page: browser.Page, api_key: str, victim: str, tmp_path: pathlib.Path
) -> None:
    before = _names(service)
    (tmp_path / "saved.html").write_text("<!doctype html><title>saved</title><body></body>")
    page.go((tmp_path / "saved.html").as_uri())
    told = _tried(page, service, api_key, victim, "saved", service.url)
    _assert_nothing(service, told, before)


def test_a_page_of_the_service_does_with_a_token_what_the_account_may_and_without_one_nothing(
    service: GuardedService, page: browser.Page, api_key: str, victim: str
) -> None:
    page.go(service.url + "/")
    told = _tried(page, service, api_key, victim, "own", service.url)
    for without in ("nothing", "token_in_address"):
        assert told[without].startswith("401 ") and "victim" not in told[without], (without, told[without])
    for usual in ("bearer", "key", "key_in_address"):
        assert told[usual].startswith("200 ") and "victim" in told[usual], (usual, told[usual])
    assert told["create"].startswith("200 ")
    assert told["delete"].startswith("200 ")
    assert not told["upgrade"].startswith("200 "), "no header turns one verb into another"
    assert told["cookie"] == "" and page.command("Network.getCookies")["cookies"] == []
    names = _names(service)
    assert "own_json" in names
    assert _call(service, "GET", f"{DATASETS}/{victim}")["error"]["status"] == "NOT_FOUND"
    assert not names & {"own_blob", "own_beacon"}, "a body needs its type, also from here"
    viewer = service.registry.account("viewer")
    service.registry.grant(viewer.member, "roles/automl.viewer", "projects/demo")
    chosen = {"service": service.url, "path": DATASETS, "token": viewer.signed(), "key": "none"}
    told = page.run(TRIALS.replace("CHOSEN", json.dumps(chosen)).replace("VICTIM", "IOD1").replace("NAME", "viewer"))
    assert told["bearer"].startswith("200 ") and told["create"].startswith("403 ") and told["key"].startswith("400 ")
