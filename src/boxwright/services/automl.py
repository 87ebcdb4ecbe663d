"""The AutoMl service: the methods about datasets and about models, as one object for the API servers."""

from __future__ import annotations

from boxwright.services.datasets import DatasetMethods
from boxwright.services.models import ModelMethods


class AutoMl(DatasetMethods, ModelMethods):
    """`google.cloud.automl.v1.AutoMl`: its 18 methods and those of ours."""
