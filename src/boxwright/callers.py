"""Who is calling, as the API servers established it and the services need it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Caller:
    """The identity behind one call.

    Attributes:
        principal: an e-mail-like id; ``anonymous`` while no authentication is configured.
    """

    principal: str = "anonymous"


ANONYMOUS = Caller()
