"""Where weights come from that somebody else has trained, and under which terms: part of models that start from them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Origin:
    """Weights of somebody else that a network starts from.

    Attributes:
        name: of the weights.
        source: the package that holds them.
        trained_on: the images that they were learned from.
        licences: what is known about their licences, in sentences.
        sha256: their digest.
        notice: what must be passed on with the model.
    """

    name: str
    source: str
    trained_on: str
    licences: str
    sha256: str
    notice: str
