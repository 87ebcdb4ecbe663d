"""Signing in at an identity provider: a service, a provider with pages, and a real Chromium."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.access.guarded_service import GuardedService, run_guarded_service
from tests.support.access.issuer import AUDIENCE
from tests.support.access.sign_in_issuer import SignInIssuer, served_pages
from tests.support.clients import browser, console_tools
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.clients.editor_page import CONTROL, Editor
from tests.support.machine.prefix_proxy import serving_under_prefix
from tests.support.machine.waiting import wait_until
from tests.support.releases import data_folder
from tests.support.services.command_line import CommandLine

from boxwright.access import providers, token_store
from boxwright.access.oidc_tokens import ProviderRecord
from boxwright.metadata.schema import tokens

BUTTON = "[...document.querySelectorAll('.signin button.first')].find((one) => one.innerText.includes('office'))"
PARENT = "projects/demo/locations/us-central1"


@dataclasses.dataclass
class Office:
    """A service at which people sign in, its provider, and a browser."""

    issuer: SignInIssuer
    service: GuardedService
    console: ConsolePage

    @property
    def root(self) -> str:
        return f"{self.service.url}/console/"

    def open(self, path: str = "datasets") -> None:
        """Shows the console in this tab, where nobody is signed in."""
        self.console.page.go("about:blank")
        self.console.page.go(f"{self.root}#/{path}")
        self.console.until("document.querySelector('.signin button.first')")

    def to_provider(self) -> None:
        """Follows the button to the provider's page, or through it where the person has signed in there already."""
        self.console.until(f"{BUTTON} && {BUTTON}.ariaDisabled !== 'true'")
        self.console.page.follow(f"{BUTTON}.click()")

    def enter(self, person: str = "ada") -> None:
        """Signs in at the provider's page, which leads back to the console."""
        self.console.type_into("#person", person)
        self.console.page.follow("document.querySelector('button').click()")

    def is_in(self) -> None:
        """Waits until the console's own pages are there."""
        self.console.until("document.querySelector('.frame') && !document.querySelector('.bone')")

    def kept(self) -> dict[str, str]:
        """What this tab keeps."""
        return dict(self.console.page.run("({...sessionStorage})"))

    def refusal(self) -> str:
        """Why nobody is signed in, as the page says it."""
        self.console.until("document.querySelector('.signin [role=alert]')")
        return str(self.console.page.run("document.querySelector('.signin [role=alert]').innerText"))


def _people(issuer: SignInIssuer, **changes: Any) -> ProviderRecord:
    known: dict[str, Any] = {"jwks_uri": f"{issuer.url}/keys", "email_domains": ("example.org",), "sign_in_s": 3600}
    return ProviderRecord("office", issuer.url, AUDIENCE, **(known | changes))


@pytest.fixture
def office(tmp_path: pathlib.Path) -> Iterator[Office]:
    with _office(tmp_path, tmp_path / "service") as running:
        yield running


@contextlib.contextmanager
def _office(tmp_path: pathlib.Path, folder: pathlib.Path) -> Iterator[Office]:
    with (
        served_pages(SignInIssuer()) as issuer,
        run_guarded_service(folder, "--no-worker", console_providers="office") as service,
        open_console(tmp_path, f"{service.url}/console/") as console,
    ):
        with service.registry.db.write() as connection:
            providers.add(connection, _people(issuer))
        service.registry.grant("user:ada@example.org", "roles/automl.editor", "projects/demo")
        issuer.back.add(f"{service.url}/console/")
        issuer.origins.add(service.url)
        yield Office(issuer, service, console)


def test_a_person_signs_in_comes_back_to_the_page_and_signs_out(office: Office) -> None:
    office.open("models")
    office.to_provider()
    asked = office.console.page.run("Object.fromEntries(new URLSearchParams(location.search))")
    assert asked["scope"] == "openid email"
    assert asked["redirect_uri"] == office.root
    assert asked["code_challenge_method"] == "S256"
    assert asked["state"] != asked["nonce"]
    office.enter()
    office.is_in()
    assert office.console.page.run("location.href") == f"{office.root}#/models"  # neither code nor state
    assert "Signed in as ada@example.org" in office.console.settled()
    kept = office.kept()
    assert "boxwright.pending" not in kept
    assert kept["boxwright.credential"].startswith("bxr_")
    assert json.loads(kept["boxwright.session"])["access"].startswith("bxw_")
    assert office.console.page.run("document.cookie") == ""
    for kept_log in (office.service.folder / "service.log", *office.service.data_dir.glob("audit/*")):
        text = kept_log.read_text(errors="replace")
        assert kept["boxwright.credential"] not in text
        assert asked["state"] not in text

    office.console.page.follow("location.reload()")
    office.is_in()
    office.console.page.run("location.hash = '#/settings'")
    office.console.click("Sign out")
    office.console.until("document.querySelector('.signin')")
    assert "boxwright.credential" not in office.kept()
    ended = office.service.http.post(
        "/token", data={"grant_type": "refresh_token", "refresh_token": kept["boxwright.credential"]}
    )
    assert ended.json()["error"] == "invalid_grant"
    access = json.loads(kept["boxwright.session"])["access"]
    called = office.service.http.get(f"/v1/{PARENT}/datasets", headers={"authorization": f"Bearer {access}"})
    assert called.status_code == 401
    assert not [one for one in office.console.complaints() if "Content Security Policy" in one or "rror:" in one]


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (
            {"claims_of": {"aud": "another"}},
            "The token of office is for another. The service expects boxwright-client.",
        ),
        ({"claims_of": {"nonce": "another"}}, "belongs to another sign-in"),
        ({"claims_of": {"iat": 4_000_000_000, "exp": 4_000_000_600}}, "The clock of office is"),
        ({"claims_of": {"iat": 1_700_000_000, "exp": 1_700_000_600}}, "One of the two clocks is wrong"),
        ({"claims_of": {"iss": "https://another.example"}}, "Its log says why"),
        ({"refusal": {"error": "invalid_client"}}, "as a public client with PKCE, without a client secret"),
        (
            {"refusal": {"error": "invalid_request", "error_description": "client_secret is missing."}},
            "a public client",
        ),
        ({"refusal": {"error": "invalid_grant"}}, "gives no token for this sign-in"),
        ({"origins": set()}, "It must allow requests from http://127.0.0.1"),
    ],
    ids=["audience", "nonce", "clock ahead", "clock behind", "issuer", "client", "secret", "code", "no CORS"],
)
@pytest.mark.full
def test_what_is_wrong_at_the_provider_is_said(office: Office, trouble: dict[str, Any], sentence: str) -> None:
    for name, value in trouble.items():
        setattr(office.issuer, name, value)
    office.open()
    office.to_provider()
    office.enter()
    assert sentence in office.refusal()
    assert office.console.page.run("location.search") == ""
    assert not {"boxwright.credential", "boxwright.session", "boxwright.pending"} & office.kept().keys()


def test_who_is_denied_or_comes_with_a_foreign_answer_is_not_signed_in(office: Office) -> None:
    office.open("models")
    office.to_provider()
    office.console.page.follow("document.querySelector('#deny').click()")
    assert "did not let you sign in" in office.refusal()
    assert "The person said <no>." in office.refusal()  # as text
    assert office.console.page.run("location.href") == f"{office.root}#/models"

    office.console.page.go("about:blank")
    office.console.page.go(f"{office.root}?code=stolen&state=made-up")
    assert "belongs to no sign-in of this tab" in office.refusal()
    office.to_provider()  # another answer than the one that is waited for changes nothing
    office.console.page.go(f"{office.root}?code=stolen&state=made-up")
    assert "belongs to no sign-in of this tab" in office.refusal()
    assert office.issuer.asked.count("/token") == 0
    office.to_provider()
    office.console.page.run("void (document.querySelector('[name=state]').value += 'x')")
    office.enter()
    assert "belongs to no sign-in of this tab" in office.refusal()
    assert not {"boxwright.credential", "boxwright.session"} & office.kept().keys()
    assert office.issuer.asked.count("/token") == 0


@pytest.mark.full
def test_all_tabs_of_a_browser_sign_out_together_and_at_the_provider(office: Office) -> None:
    office.open()
    office.to_provider()
    office.enter()
    office.is_in()
    first = office.console.page.turn_to()
    office.open("settings")
    office.to_provider()  # the provider knows the person
    office.is_in()
    keeps = office.kept()
    second = office.console.page.turn_to(first)
    assert office.kept()["boxwright.credential"] != keeps["boxwright.credential"]
    office.console.page.turn_to(second)
    office.console.until("document.body.innerText.includes('Sign out at office too')")
    office.console.page.follow(
        "[...document.querySelectorAll('button')].find((one) => one.innerText.includes('at office too')).click()"
    )
    office.console.until("document.querySelector('.signin button.first')")
    assert office.console.page.run("location.search") == ""
    assert [one["client_id"] for one in office.issuer.left] == [AUDIENCE]
    assert office.issuer.sessions == {}
    office.console.page.turn_to(first)
    office.console.until("document.querySelector('.signin button.first')")
    assert "boxwright.credential" not in office.kept()
    assert not [url for _, url in office.console.requests() if "id_token" in url]
    form = {"grant_type": "refresh_token", "refresh_token": keeps["boxwright.credential"]}
    assert office.service.http.post("/token", data=form).json()["error"] == "invalid_grant"
    assert not [one for one in office.console.complaints() if "Content Security Policy" in one]


@pytest.mark.full
def test_a_tab_that_waits_goes_on_when_another_one_has_signed_in(office: Office) -> None:
    office.open("models")
    office.to_provider()
    office.enter()
    office.is_in()
    with office.service.registry.db.write() as connection:
        connection.execute(tokens.delete())
    office.console.page.run("globalThis.same = 'yes'; location.hash = '#/operations'")
    assert "The sign-in has ended" in office.refusal()
    first = office.console.page.turn_to()
    office.open("settings")
    office.issuer.sessions.clear()
    office.to_provider()
    office.enter("bob")  # another person does not go on with what the first has left
    office.is_in()
    third = office.console.page.turn_to(first)
    assert office.console.page.run("document.querySelector('.frame')") is None
    office.console.page.turn_to(third)
    office.console.page.run("location.hash = '#/settings'")
    office.console.click("Sign out")
    office.console.until("document.querySelector('.signin button.first')")
    office.issuer.sessions.clear()
    office.to_provider()
    office.enter()
    office.is_in()
    office.console.page.turn_to(first)
    office.is_in()
    assert office.console.page.run("[globalThis.same, location.hash]") == ["yes", "#/operations"]
    assert "Signed in as ada@example.org" in office.console.settled()


@pytest.mark.full
def test_people_sign_in_behind_a_path_prefix(office: Office) -> None:
    with serving_under_prefix(office.service.port) as address:
        root = f"{address}console/"
        office.issuer.back.add(root)
        office.issuer.origins.add(address.removesuffix("/a/b/"))
        office.console.page.go(f"{root}#/batches")
        office.to_provider()
        office.enter()
        office.is_in()
        assert office.console.page.run("location.href") == f"{root}#/batches"


@pytest.mark.full
def test_a_token_that_ends_in_the_editor_is_renewed_and_one_that_is_ended_asks_again_and_nothing_is_lost(
    tmp_path: pathlib.Path,
) -> None:
    data_folder.unpack(sorted(data_folder.FOLDER.glob("*.zip"))[0], tmp_path / "release")
    CommandLine("").done("migrate", "--data-dir", tmp_path / "release" / "data")
    with _office(tmp_path, tmp_path / "release") as office:
        headers = {"x-goog-api-key": office.service.registry.api_key(office.service.owner)}
        dataset = office.service.http.get(f"/v1/{PARENT}/datasets", headers=headers).json()["datasets"][0]["name"]
        example = office.service.http.get(f"/v1/{dataset}/examples", headers=headers).json()["examples"][0]

        def boxes() -> int:
            found = office.service.http.get(f"/v1/{example['name']}", headers=headers).json()
            return len(found.get("annotations", []))

        office.open(f"datasets/{dataset.rpartition('/')[2]}/images/{example['name'].rpartition('/')[2]}")
        office.to_provider()
        office.enter()
        editor = Editor(office.console, office.service.url, dataset)
        editor.ready()
        editor.key("a", CONTROL)
        editor.key("Delete")
        editor.saved()
        assert boxes() == 0
        access = json.loads(office.kept()["boxwright.session"])["access"]
        with office.service.registry.db.write() as connection:
            connection.execute(tokens.update().where(tokens.c.kind == token_store.ACCESS).values(expires_us=1))
        office.console.page.run("void (document.querySelector('.editor').dataset.same = 'yes')")
        editor.key("w")
        editor.saved()
        assert boxes() == 1
        assert (
            office.console.page.run("document.querySelector('.editor').dataset.same") == "yes"
        )  # nothing was loaded anew
        assert json.loads(office.kept()["boxwright.session"])["access"] != access

        with office.service.registry.db.write() as connection:
            connection.execute(tokens.delete())
        editor.key("d", CONTROL)
        assert "The sign-in has ended" in office.refusal()
        assert boxes() == 1
        office.to_provider()
        editor.ready()
        wait_until(lambda: boxes() == 2, "what was not saved to be saved by the page that is back")
        editor.saved()
        assert "A closed tab has left" not in office.console.page.run("document.body.innerText")


@pytest.mark.full
def test_the_sign_in_page_has_no_barrier_in_any_theme_language_or_width(office: Office) -> None:
    script = console_tools.MODULES / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed: `make test` installs it where there is npm")
    office.open()
    office.to_provider()
    office.console.page.follow("document.querySelector('#deny').click()")
    office.refusal()
    found = []
    for theme, language, width_px in (
        ("light", "en", 1280),
        ("dark", "id", 360),
        ("light", "id", 1280),
        ("dark", "en", 360),
    ):
        office.console.page.command(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=900, deviceScaleFactor=1, mobile=False
        )
        office.console.choose(theme=theme, language=language)
        office.open()
        office.to_provider()
        office.console.page.follow("document.querySelector('#deny').click()")
        assert ("Anda" if language == "id" else "you") in office.refusal()
        assert office.console.page.run("document.documentElement.scrollWidth") <= width_px
        office.console.page.run(script.read_text(encoding="utf-8"))
        found += office.console.page.run(
            "axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}})"
            ".then((done) => done.violations.map((one) => one.id + ' ' + one.nodes.map((node) => node.failureSummary)))"
        )
    assert found == []


@pytest.mark.full
def test_a_page_without_https_and_an_issuer_that_is_away_are_told_and_tokens_still_work(tmp_path: pathlib.Path) -> None:
    flag = "--host-resolver-rules=MAP boxes.example 127.0.0.1"
    with (
        served_pages(SignInIssuer()) as issuer,
        run_guarded_service(
            tmp_path / "service", "--no-worker", console_providers="office,away", allowed_hosts="boxes.example"
        ) as service,
        browser.open_page(tmp_path, flag) as page,
    ):
        with service.registry.db.write() as connection:
            providers.add(connection, _people(issuer))
            away = ProviderRecord("away", "http://localhost:1", AUDIENCE, "http://localhost:1/keys", sign_in_s=3600)
            providers.add(connection, away)
        root = f"http://boxes.example:{service.port}/console/"
        console = ConsolePage(page, root)
        page.go(root)
        console.until("document.querySelectorAll('.signin button.first').length === 3")
        text = str(page.run("document.querySelector('.signin').innerText"))
        assert "only where the console is opened by https, or at localhost" in text
        assert "away does not answer this service" in text
        off = "[...document.querySelectorAll('.signin button.first')].map((one) => one.ariaDisabled)"
        assert page.run(off)[:2] == ["true", "true"]
        page.run("[...document.querySelectorAll('.signin button.first')].slice(0, 2).forEach((one) => one.click())")
        page.run("document.querySelector('details').open = true")
        console.type_into("input[type=password]", service.registry.api_key(service.owner))
        console.click("Sign in")
        console.until("document.querySelector('.frame')")
        assert page.run("location.origin") == root.removesuffix("/console/")
        assert issuer.asked.count("/authorize") == 0
