"""A classifier's model folder with its rows, made in seconds: the smallest published network, at a small input.

Its last layer is the line between the means of what the network sees in red and in blue images, scaled so that scores lie
all over the scale. The folder, the evaluation and the rows are written by the rooms that write those of trained models.
"""

from __future__ import annotations

import atexit
import functools
import pathlib

import numpy as np
import pytest
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import INPUT_HW, SPEC_IDS, TinyModel, evaluated

from boxwright import kinds, temporary
from boxwright.inference import evaluated_examples, model_folder
from boxwright.learning import model_draft

SEEN_IMAGES, EVALUATED_IMAGES = 8, 6
MIDDLE_LOGIT = 0.8  # of half of the images the better label's logit is below


@pytest.fixture(scope="session")
def tiny_classifier() -> TinyModel:
    """A MULTICLASS model folder of the session."""
    return make(model_folder.MULTICLASS)


def make(classification_type: str) -> TinyModel:
    """Makes the model folder, once for a process."""
    return TinyModel(_exported(classification_type), kinds.IMAGE_CLASSIFICATION)


@functools.cache
def _exported(classification_type: str) -> pathlib.Path:
    import torch  # seconds to import: only for tests that need a model

    from boxwright.classifier.delivery import export
    from boxwright.classifier.evaluation import evaluate
    from boxwright.classifier.network import network
    from boxwright.inference.classification import Classifier
    from boxwright.learning import efficientnet

    folder = temporary.TemporaryFolder("tiny-classifier")
    atexit.register(folder.close)  # which keeps it until then
    root = folder.path
    labels = [
        {"display_name": name, "annotation_spec_id": spec_id}
        for name, spec_id in zip(drawn_images.LABELS, SPEC_IDS, strict=True)
    ]
    made = network.ClassificationNetwork(efficientnet.LITE0, len(labels)).fill(efficientnet.load(efficientnet.LITE0))
    draft = root / "draft"

    def opened() -> Classifier:
        export.write_draft(
            draft,
            made.eval(),
            labels=labels,
            model_type="mobile-low-latency-1",
            classification_type=classification_type,
            input_hw=INPUT_HW,
            provenance={},
        )
        return Classifier.open(draft, streams=1)

    drawings = [drawn_images.draw(seed, boxes=1) for seed in range(SEEN_IMAGES)]
    blank = opened()
    pixels = np.concatenate([blank.prepare(drawing.content).pixels for drawing in drawings])
    with torch.inference_mode():
        features = made.features(torch.from_numpy(pixels)).numpy().astype(np.float64)  # (N, 1280)
    is_red = np.asarray([drawing.boxes[0][0] == "red" for drawing in drawings])
    line = features[is_red].mean(axis=0) - features[~is_red].mean(axis=0)
    line *= MIDDLE_LOGIT / np.median(np.abs((features - features.mean(axis=0)) @ line))
    weight = np.stack([line, -line])
    made.put_head(network.Head(weight, -weight @ features.mean(axis=0)))
    classifier = opened()
    scores, targets, images = [], [], []
    for seed in range(SEEN_IMAGES, SEEN_IMAGES + EVALUATED_IMAGES):
        drawing = drawn_images.draw(seed, boxes=1)
        found = classifier.predict(drawing.content)
        scores.append(found.by_label(len(labels)))
        indices = np.asarray([drawn_images.LABELS.index(drawing.boxes[0][0])])
        images.append(evaluated(seed, drawing.content, indices, None, found))
        targets.append([name == drawing.boxes[0][0] for name in drawn_images.LABELS])
    evaluation = evaluate.evaluate(
        labels, np.asarray(targets), np.asarray(scores), classification_type=classification_type, split="TEST"
    )
    kept = evaluated_examples.collect(images, drawn_images.LABELS, split="TEST", has_boxes=False)
    evaluated_examples.write(draft, kept)
    model_draft.publish(draft, root / "model", evaluation)
    return root / "model"
