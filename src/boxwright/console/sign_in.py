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

from boxwright.access.sign_in import SignInPlace, origin_of

PATH = "sign-in.json"


@dataclasses.dataclass(frozen=True)
class SignInRules:
    """What the console is told.

    Attributes:
        places: gets them; may take some seconds, or raise ApiError.
        scope: what issuers are asked for.
    """

    places: Callable[[], Sequence[SignInPlace]]
    scope: str


def document(scope: str, places: Sequence[SignInPlace]) -> bytes:
    """The document as JSON."""
    providers = [
        {
            "name": place.name,
            "issuer": place.issuer,
            "clientId": place.client_id,
            "authorizationEndpoint": place.authorization_endpoint,
            "tokenEndpoint": place.token_endpoint,
            "endSessionEndpoint": place.end_session_endpoint,
        }
        for place in places
    ]
    return json.dumps({"scope": scope, "providers": providers}, indent=1).encode() + b"\n"


def widened(policy: str, places: Sequence[SignInPlace]) -> str:
    """The policy of a page that may send a code to these issuers, and a person who signs out there."""
    asked = sorted({origin_of(place.token_endpoint) for place in places if not place.is_away})
    left = sorted({origin_of(place.end_session_endpoint) for place in places if place.end_session_endpoint})
    if asked:
        policy = policy.replace("connect-src 'self'", " ".join(("connect-src 'self'", *asked)))
    if left:  # 'self': browsers ask the policy about the way back too
        policy = policy.replace("form-action 'none'", " ".join(("form-action 'self'", *left)))
    return policy
