"""Decides on calls: who makes them, by their headers; whether they may, by the permissions that they need."""

from __future__ import annotations

from collections.abc import Sequence

from boxwright import callers


class OpenDecider:
    """Says yes to everybody: credentials are accepted and not looked at."""

    is_prompt = True

    def admit(self, method: str, headers: Sequence[tuple[str, str]]) -> callers.Caller:
        """Everybody calls as nobody in particular."""
        return callers.ANONYMOUS

    def check(self, caller: callers.Caller, method: str, requirements: Sequence[callers.Requirement]) -> None:
        """Every call passes."""
