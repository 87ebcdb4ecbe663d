"""Whom the token of an identity provider speaks for: from the index of providers, their keys and the rules of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable

from boxwright.access import jwt_rules, oidc_tokens
from boxwright.access.index import IndexReader
from boxwright.access.jwt_rules import TokenRefused
from boxwright.access.key_sets import KeySets
from boxwright.access.oidc_tokens import ProviderRecord


class Federation:
    """Judges tokens of providers.

    Args:
        reader: the index of providers.
        skew_s: by which the clocks of providers may differ.
        keys: the keys of providers.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self, reader: IndexReader, skew_s: float, keys: KeySets | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._reader = reader
        self._skew_s = skew_s
        self._keys = KeySets() if keys is None else keys
        self._clock = clock
        self._fail_slowly = jwt_rules.decoy_verifier()

    def judged(self, name: str, text: str) -> tuple[ProviderRecord, str, tuple[str, ...]]:
        """The provider of this name, the member that its token speaks for, and further members that it counts as.

        Raises:
            TokenRefused: the token is not the provider's, not for this service or not for now, or its person is disabled;
                after one verification of a signature, whatever the reason.
        """
        found = self._reader.current()
        try:
            token = oidc_tokens.read(text)
            provider = found.providers.get(name)
            if provider is None or provider.is_disabled:
                raise TokenRefused("provider unknown or disabled")
            oidc_tokens.check(token, provider, self._clock(), self._skew_s)
            key = self._keys.find(provider, token.kid)  # last, as it may ask the network
            if key is None:
                raise TokenRefused("key unknown, or the provider's keys cannot be got")
            if token.algorithm not in oidc_tokens.ALGORITHMS[key.key_type]:
                raise TokenRefused("algorithm is not the key's")
        except TokenRefused:
            self._fail_slowly()
            raise
        oidc_tokens.verify(text, token, key)
        member, groups = oidc_tokens.holder(token, provider)
        account = found.accounts.get(member)
        if account is not None and account.is_disabled:
            raise TokenRefused("account disabled")
        return provider, member, groups
