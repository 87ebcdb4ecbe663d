"""How the console is told where people sign in, and what its policy then lets it ask."""

from __future__ import annotations

import pathlib
import subprocess

import httpx
import pytest
from tests.conftest import Service
from tests.support.access.guarded_service import run_guarded_service
from tests.support.access.issuer import AUDIENCE
from tests.support.access.sign_in_issuer import SignInIssuer, served_pages
from tests.support.services.env_service import CLI
from tests.support.services.tls_process import clean_environment

from boxwright.access import providers
from boxwright.access.oidc_tokens import ProviderRecord
from boxwright.access.sign_in import SignInProvider
from boxwright.console import files, sign_in


def test_a_service_without_providers_says_so(service: Service) -> None:
    answer = httpx.get(f"{service.url}/console/sign-in.json", trust_env=False)
    assert answer.json() == {"scope": "", "providers": []}
    assert answer.headers["content-security-policy"] == files.POLICY


def test_the_policy_is_opened_for_the_issuers_alone() -> None:
    there = SignInProvider(
        "office", "https://a.example", "c", "https://a.example/x?y", "https://b.example/t", "https://c.example/o"
    )
    away = SignInProvider("away", "https://d.example", "c")
    without_logout = SignInProvider("shop", "https://e.example", "c", "https://e.example/a", "https://e.example:444/t")
    before = set(files.POLICY.split("; "))
    after = set(sign_in.widened(files.POLICY, [there, away, without_logout]).split("; "))
    assert after - before == {
        "connect-src 'self' https://b.example https://e.example:444",
        "form-action 'self' https://c.example",
    }
    assert before - after == {"connect-src 'self'", "form-action 'none'"}
    assert sign_in.widened(files.POLICY, [away]) == files.POLICY


@pytest.mark.full
def test_the_document_and_the_page_follow_the_providers(tmp_path: pathlib.Path) -> None:
    with (
        served_pages(SignInIssuer()) as issuer,
        run_guarded_service(
            tmp_path, "--no-worker", console_providers="office,nobody", console_scope="openid groups"
        ) as service,
    ):
        with service.registry.db.write() as connection:
            people = {"email_domains": ("example.org",), "sign_in_s": 3600}
            providers.add(connection, ProviderRecord("office", issuer.url, AUDIENCE, f"{issuer.url}/keys", **people))
        found = service.http.get("/console/sign-in.json")
        assert found.headers["cache-control"] == "no-cache"
        assert found.json() == {
            "scope": "openid groups",
            "providers": [
                {
                    "name": "office",
                    "issuer": issuer.url,
                    "clientId": AUDIENCE,
                    "authorizationEndpoint": f"{issuer.url}/authorize",
                    "tokenEndpoint": f"{issuer.url}/token",
                    "endSessionEndpoint": f"{issuer.url}/logout",
                }
            ],
        }
        page = service.http.get("/console/")
        assert f"connect-src 'self' {issuer.url};" in page.headers["content-security-policy"]
        assert f"form-action 'self' {issuer.url};" in page.headers["content-security-policy"]
        assert service.http.get("/console/app.css").headers["content-security-policy"] == files.POLICY
        kept = {"if-none-match": page.headers["etag"]}
        assert service.http.get("/console/", headers=kept).status_code == 304
        with service.registry.db.write() as connection:
            providers.set_disabled(connection, "office", True)
        assert service.http.get("/console/sign-in.json").json()["providers"] == []
        again = service.http.get("/console/", headers=kept)
        assert (again.status_code, again.headers["content-security-policy"]) == (200, files.POLICY)
        assert service.http.post("/console/sign-in.json").status_code == 404


def test_a_service_with_open_access_and_providers_does_not_start(tmp_path: pathlib.Path) -> None:
    flags = ["--data-dir", str(tmp_path / "data"), "--buckets", str(tmp_path / "buckets")]
    done = subprocess.run(
        [*CLI, "serve", *flags, "--port", "0", "--grpc-port", "0"],
        env=clean_environment() | {"BOXWRIGHT_CONSOLE_PROVIDERS": "office"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "console_providers" in done.stderr
    assert "--access required" in done.stderr
    assert not (tmp_path / "data").exists()
