"""The AutoMl service: the methods about datasets and about models, as one object for the API servers."""

from __future__ import annotations

from typing import Any

from boxwright.services.datasets import DatasetMethods
from boxwright.services.models import ModelMethods
from boxwright.services.uploads import UploadFolder


class AutoMl(DatasetMethods, ModelMethods):
    """`google.cloud.automl.v1.AutoMl`: its 18 methods and those of ours.

    Args:
        ground: as of `Resources`.
        uploads: where images are kept that are sent.
        more: as of `Resources`, by name.
    """

    def __init__(self, *ground: Any, uploads: UploadFolder, **more: Any) -> None:
        super().__init__(*ground, **more)
        self._uploads = uploads
