"""The trained model that these tests share."""

from tests.support.tiny_model import tiny_model as tiny_model
