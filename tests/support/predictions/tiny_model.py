"""A whole model folder with its rows, made in seconds: a tiny network with fixed random weights, exported and evaluated.

It finds boxes everywhere, with scores all over the scale, which is what tests of everything around a model need. The
folder, the evaluation and the rows are written by the rooms that write those of trained models.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
from tests.support.images import drawn_images

from boxwright import boxes, kinds, temporary
from boxwright.inference import evaluated_examples
from boxwright.learning import model_draft
from boxwright.metadata import database, models
from boxwright.predictions import ImagePrediction
from boxwright.runners import training_forms

MODEL_ID = "IOD4412217016962778756"
PARENT = "projects/demo/locations/us-central1"
MODEL_NAME = f"{PARENT}/models/{MODEL_ID}"
DATASET_ID = "IOD1000000000000000001"
SPEC_IDS = ("3869458495073943552", "3869458495073943553")
INPUT_HW = (64, 96)
EVALUATED_IMAGES = 6


@dataclasses.dataclass(frozen=True)
class TinyModel:
    """A model folder that tests copy.

    Attributes:
        folder: model.json, model.onnx and evaluation.json.
        kind: what it predicts.
    """

    folder: pathlib.Path
    kind: kinds.DatasetKind = kinds.OBJECT_DETECTION

    @property
    def model_id(self) -> str:
        """The id that it has unless a test chooses another."""
        return self.kind.prefix + MODEL_ID[3:]

    def copy_to(self, models_dir: pathlib.Path, model_id: str = "") -> pathlib.Path:
        """Copies the folder to where a service keeps its models."""
        return pathlib.Path(shutil.copytree(self.folder, models_dir / (model_id or self.model_id)))

    def install(
        self,
        data_dir: pathlib.Path,
        model_id: str = "",
        *,
        display_name: str = "tiny",
        age_days: float = 0,
        database_url: str | None = None,
    ) -> str:
        """Adds the model to a service's data directory, its evaluations too; returns its resource name."""
        model_id = model_id or self.model_id
        self.copy_to(data_dir / "models", model_id)
        db = database.Database(database_url or data_dir / "metadata.sqlite")
        evaluation = json.loads((self.folder / "evaluation.json").read_text())
        with db.write() as connection:
            created_us = database.now_us(connection) - round(age_days * 86_400_000_000)
            models.insert(
                connection,
                _model_row(model_id, self.kind, display_name, created_us),
                _evaluation_rows(model_id, self.kind, created_us, evaluation),
            )
        db.close()
        return f"{PARENT}/models/{model_id}"


@pytest.fixture(scope="session")
def tiny_model() -> TinyModel:
    """The model folder of the session."""
    return make()


def make() -> TinyModel:
    """Makes the model folder, once for a process."""
    return TinyModel(_exported())


def evaluated(
    seed: int, content: bytes, label_indices: Any, boxes_norm: Any, found: ImagePrediction
) -> evaluated_examples.EvaluatedImage:
    """A drawn image of an evaluation."""
    digest = hashlib.sha256(content).hexdigest()
    return evaluated_examples.EvaluatedImage(
        f"gs://drawn/{seed:04d}.jpg", digest, (48, 64), label_indices, boxes_norm, found
    )


@functools.cache
def _exported() -> pathlib.Path:
    import torch  # seconds to import: only for tests that need a model

    from boxwright.detector.delivery import export
    from boxwright.detector.evaluation import evaluate
    from boxwright.detector.network import dense
    from boxwright.inference import predictor

    folder = temporary.TemporaryFolder("tiny-model")
    atexit.register(folder.close)  # which keeps it until then
    root = folder.path
    torch.manual_seed(5)
    network = dense.Network(dense.TINY, len(drawn_images.LABELS)).eval()
    with torch.no_grad():
        for head in network.heads:
            assert isinstance(head, dense.Head)
            assert isinstance(head.scores, torch.nn.Conv2d)
            head.scores.weight *= 200  # random features hardly differ: this spreads the scores over the whole scale
            assert head.scores.bias is not None
            head.scores.bias.zero_()
    labels = [
        {"display_name": name, "annotation_spec_id": spec_id}
        for name, spec_id in zip(drawn_images.LABELS, SPEC_IDS, strict=True)
    ]
    draft = root / "draft"
    export.write_draft(
        draft,
        network,
        labels=labels,
        model_type="mobile-low-latency-1",
        input_hw=INPUT_HW,
        score_floor=0.01,
        provenance={},
    )
    opened = predictor.Predictor.open(draft, streams=1)
    ground_truth, found, images = [], [], []
    for seed in range(EVALUATED_IMAGES):
        drawing = drawn_images.draw(seed)
        corners = np.asarray([box[1:] for box in drawing.boxes], np.float32)
        indices = np.asarray([drawn_images.LABELS.index(box[0]) for box in drawing.boxes], np.int64)
        ground_truth.append(evaluate.GroundTruth(corners, indices))
        found.append(opened.predict(drawing.content))
        images.append(evaluated(seed, drawing.content, indices, corners, found[-1]))
    assert any(isinstance(one, boxes.Detections) and len(one) for one in found), "the tiny model finds nothing"
    kept = evaluated_examples.collect(images, drawn_images.LABELS, split="TEST", has_boxes=True)
    evaluated_examples.write(draft, kept)
    model_draft.publish(draft, root / "model", evaluate.evaluate(labels, ground_truth, found, split="TEST"))
    return root / "model"


def _model_row(model_id: str, kind: kinds.DatasetKind, display_name: str, created_us: int) -> dict[str, object]:
    return {
        "id": model_id,
        "project": "demo",
        "location": "us-central1",
        "display_name": display_name,
        "dataset_id": kind.prefix + DATASET_ID[3:],
        "metadata_member": kind.model_member,
        "model_type": "mobile-low-latency-1",
        "labels": {},
        "etag": "tiny",
        "create_time_us": created_us,
        "update_time_us": created_us,
        "deployment_state": "UNDEPLOYED",
        "stop_reason": "MODEL_CONVERGED",
        "train_budget_milli_node_hours": 1000,
        "train_cost_milli_node_hours": 1,
        "folder": model_id,
    }


def _evaluation_rows(
    model_id: str, kind: kinds.DatasetKind, created_us: int, evaluation: dict[str, Any]
) -> list[dict[str, object]]:
    overall = {**evaluation["overall"], "annotation_spec_id": "", "display_name": ""}
    rows = [*zip(evaluation["labels"], evaluation["labels"], strict=True), (overall, evaluation["overall"])]
    return [
        {
            "id": str(int(hashlib.sha256(f"{model_id}/{position}".encode()).hexdigest()[:15], 16)),
            "model_id": model_id,
            "annotation_spec_id": named["annotation_spec_id"],
            "display_name": named["display_name"],
            "create_time_us": created_us + position,
            "evaluated_example_count": entry["evaluated_example_count"],
            "metrics": training_forms.of(kind).metrics(entry),
        }
        for position, (named, entry) in enumerate(rows)
    ]
