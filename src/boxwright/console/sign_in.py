"""How people sign in to the console: a public document, and the policy of the page, which lets it ask the issuers alone.

The document is ``/console/sign-in.json``:

    {"scope": "openid email", "providers": [{"name": "office", "issuer": "https://login.example.org", "clientId": "b",
     "authorizationEndpoint": "…", "tokenEndpoint": "…", "endSessionEndpoint": "…"}]}

Addresses that are not known are empty. Without providers the console takes a token or an API key.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence

from boxwright.access.sign_in import SignInProvider, origin_of

PATH = "sign-in.json"


@dataclasses.dataclass(frozen=True)
class SignInRules:
    """What the console is told.

    Attributes:
        providers: gets them; may take some seconds, or raise ApiError.
        scope: what issuers are asked for.
    """

    providers: Callable[[], Sequence[SignInProvider]]
    scope: str


def document(scope: str, providers: Sequence[SignInProvider]) -> bytes:
    """The document as JSON."""
    described = [
        {
            "name": provider.name,
            "issuer": provider.issuer,
            "clientId": provider.client_id,
            "authorizationEndpoint": provider.authorization_endpoint,
            "tokenEndpoint": provider.token_endpoint,
            "endSessionEndpoint": provider.end_session_endpoint,
        }
        for provider in providers
    ]
    return json.dumps({"scope": scope, "providers": described}, indent=1).encode() + b"\n"


def widened(policy: str, providers: Sequence[SignInProvider]) -> str:
    """The policy of a page that may send a code to these issuers, and a person who signs out there."""
    asked = sorted({origin_of(provider.token_endpoint) for provider in providers if not provider.is_away})
    left = sorted({origin_of(provider.end_session_endpoint) for provider in providers if provider.end_session_endpoint})
    if asked:
        policy = policy.replace("connect-src 'self'", " ".join(("connect-src 'self'", *asked)))
    if left:  # 'self': browsers ask the policy about the way back too
        policy = policy.replace("form-action 'none'", " ".join(("form-action 'self'", *left)))
    return policy
