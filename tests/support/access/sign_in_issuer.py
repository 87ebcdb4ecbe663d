"""An identity provider with pages: people sign in by a form (authorization code with PKCE), and sign out.

It takes what the standards let a public client send, and nothing else: known addresses to lead back to, S256, a code once,
the secret of its challenge, no client secret, and pages of known origins only.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import http.cookies
import json
import secrets
import urllib.parse
from collections.abc import Iterator
from typing import Any

from tests.support.access.issuer import AUDIENCE, Issuer
from tests.support.machine import http_site

Answer = tuple[int, dict[str, str], bytes]


class SignInIssuer(Issuer):
    """An identity provider with pages.

    Attributes:
        back: the addresses that it leads back to.
        origins: whose pages may read its answers (CORS).
        sessions: who has signed in, by the id of the session in the browser's cookie.
        codes: what was asked for, by a code that was not used yet.
        claims_of: what its tokens say beside, or otherwise.
        refusal: an error instead of a token, such as ``{"error": "invalid_client"}``.
        left: the forms with which people have signed out.
        has_logout: whether people can.
    """

    def __init__(self) -> None:
        super().__init__()
        self.back: set[str] = set()
        self.origins: set[str] = set()
        self.sessions: dict[str, str] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.claims_of: dict[str, Any] = {}
        self.refusal: dict[str, str] | None = None
        self.left: list[dict[str, str]] = []
        self.has_logout = True

    def page(self, verb: str, path: str, query: dict[str, str], form: dict[str, str], headers: Any) -> Answer:
        """What it answers to a browser; to others as `Issuer` does."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, {"Content-Type": "application/json"}, json.dumps(self.description()).encode()
        if path == "/authorize" and verb == "GET":
            return self._authorize(query, headers)
        if path == "/login" and verb == "POST":
            return self._login(form)
        if path == "/token" and verb == "POST" and form.get("grant_type") == "authorization_code":
            return self._token(form, headers)
        if path == "/logout" and verb == "POST":
            return self._logout(form)
        return self.answer(path, form)

    def description(self) -> dict[str, Any]:
        found = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }
        return found | ({"end_session_endpoint": f"{self.url}/logout"} if self.has_logout else {})

    def _authorize(self, query: dict[str, str], headers: Any) -> Answer:
        if query.get("redirect_uri") not in self.back or query.get("client_id") != AUDIENCE:
            return 400, {}, b"This client is not known."
        wanted = {"response_type": "code", "code_challenge_method": "S256"}
        if (
            any(query.get(name) != value for name, value in wanted.items())
            or len(query.get("code_challenge", "")) != 43
        ):
            return self._lead(query, error="invalid_request")
        cookies = http.cookies.SimpleCookie(headers.get("cookie") or "")
        sid = cookies["sid"].value if "sid" in cookies else ""
        if sid in self.sessions:
            return self._lead(query, code=self._code(query, sid))
        kept = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in query.items()
        )
        page = f"""<!doctype html><html lang="en"><title>Office</title><h1>Office</h1>
            <form method="post" action="/login">{kept}
            <label>Name<input name="person" id="person"></label><button name="does" value="enter">Enter</button>
            <button name="does" value="deny" id="deny">Cancel</button></form></html>"""
        return 200, {"Content-Type": "text/html; charset=utf-8"}, page.encode()

    def _login(self, form: dict[str, str]) -> Answer:
        if form.get("redirect_uri") not in self.back:
            return 400, {}, b"This client is not known."
        if form.get("does") == "deny":
            return self._lead(form, error="access_denied", error_description="The person said <no>.")
        sid = secrets.token_hex(8)
        self.sessions[sid] = form["person"]
        status, headers, content = self._lead(form, code=self._code(form, sid))
        return status, {**headers, "Set-Cookie": f"sid={sid}; HttpOnly; SameSite=Lax; Path=/"}, content

    def _code(self, query: dict[str, str], sid: str) -> str:
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "sid": sid}
        return code

    def _lead(self, query: dict[str, str], **said: str) -> Answer:
        said = {"state": query.get("state", ""), "iss": self.url, **said}
        return 303, {"Location": f"{query['redirect_uri']}?{urllib.parse.urlencode(said)}"}, b""

    def _token(self, form: dict[str, str], headers: Any) -> Answer:
        allowed = {"Content-Type": "application/json"}
        if headers.get("origin") in self.origins:
            allowed["Access-Control-Allow-Origin"] = headers["origin"]
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        is_fine = (
            asked is not None
            and asked["redirect_uri"] == form.get("redirect_uri")
            and asked["client_id"] == form.get("client_id")
            and asked["code_challenge"] == challenge
            and "client_secret" not in form
            and "cookie" not in headers
        )
        if self.refusal is not None or asked is None or not is_fine:
            return 400, allowed, json.dumps(self.refusal or {"error": "invalid_grant"}).encode()
        person = self.sessions[asked["sid"]]
        about = {"sub": person, "email": f"{person}@example.org", "email_verified": True, "sid": asked["sid"]}
        claims: dict[str, Any] = {**about, "nonce": asked["nonce"], **self.claims_of}
        token = self.token(**claims)
        return 200, allowed, json.dumps({"id_token": token, "access_token": "opaque", "token_type": "Bearer"}).encode()

    def _logout(self, form: dict[str, str]) -> Answer:
        self.left.append(form)
        claims = form["id_token_hint"].split(".")[1]
        about = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.sessions.pop(about["sid"], None)
        if form.get("post_logout_redirect_uri") not in self.back:
            return 200, {}, b"You are signed out."
        return 303, {"Location": form["post_logout_redirect_uri"]}, b""


@contextlib.contextmanager
def served_pages(issuer: SignInIssuer) -> Iterator[SignInIssuer]:
    """Lets an issuer answer at a name of the loopback interface until the end of the block: another site than 127.0.0.1."""

    class Handler(http_site.QuietHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
            path, _, query = self.path.partition("?")
            asked = dict(urllib.parse.parse_qsl(query))
            self.answer(*issuer.page(self.command, path, asked, form, self.headers))

        do_POST = do_GET

    with http_site.serving(Handler) as server:
        issuer.url = f"http://localhost:{server.server_port}"
        yield issuer
