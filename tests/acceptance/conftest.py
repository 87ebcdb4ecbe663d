"""The trained model that these tests share."""

from tests.support.predictions.tiny_model import tiny_model as tiny_model
