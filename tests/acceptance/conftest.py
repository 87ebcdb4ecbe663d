"""The trained model that these tests share."""

from tests.support.predictions.tiny_classifier import tiny_classifier as tiny_classifier
from tests.support.predictions.tiny_model import tiny_model as tiny_model
