"""A training job on disk: job.json beside examples.jsonl. Light: imports no tensor library.

{"labels": [{"display_name", "annotation_spec_id"}], "model_type": str, "budget_s": float, "seed": int,
 "threads": int, "cache_bytes": int, "stores": {…}, "score_floor": float?, "recipe": {…}?,
 "weights_dir": str?, "classification_type": "MULTICLASS" | "MULTILABEL"?,
 "base_model_dir": str?}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from boxwright.images import decode

JOB_FILE = "job.json"
EXAMPLES_FILE = "examples.jsonl"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    stop_reason: str
    elapsed_s: float
    weights_sha256: str


class JobError(Exception):
    """The job cannot be done as it stands; the text is for the user."""


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """What to train.

    Attributes:
        folder: holds the job's files, its checkpoint and, at the end, `model/`.
        labels: display_name and annotation_spec_id each; examples refer to them by index.
        model_type: one of the API's model types.
        budget_s: wall time for everything, over all attempts.
        seed: of weights and data order.
        threads: processor threads to use; part of what determines the weights.
        cache_bytes: limit for decoded images in memory.
        stores: configuration of the object stores, opaque here.
        score_floor: lowest score that the model reports, None for the default.
        recipe: overrides of hyper-parameters by name.
        classification_type: of an image classification; empty for other kinds.
        weights_dir: where installed weights are; None: none are used.
        base_model_dir: folder of the model that a training of a classifier starts from; None: from published weights.
        fingerprint: of everything that determines the weights except the budget and what is installed.
    """

    folder: pathlib.Path
    labels: list[dict[str, str]]
    model_type: str
    budget_s: float
    seed: int
    threads: int
    cache_bytes: int
    stores: dict[str, Any]
    score_floor: float | None
    recipe: dict[str, Any]
    weights_dir: pathlib.Path | None
    fingerprint: str
    classification_type: str = ""
    base_model_dir: pathlib.Path | None = None

    @classmethod
    def read(cls, folder: pathlib.Path) -> TrainingJob:
        """Reads job.json.

        Raises:
            JobError: a file is absent or a field is missing or impossible.
        """
        try:
            fields = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
            examples = (folder / EXAMPLES_FILE).read_bytes()
            labels = [
                {"display_name": one["display_name"], "annotation_spec_id": one["annotation_spec_id"]}
                for one in fields["labels"]
            ]
            numbers = [int(fields["seed"]), int(fields["threads"]), decode.POLICY]
            decisive = [labels, fields["model_type"], *numbers, fields.get("recipe")]
            classification_type = str(fields.get("classification_type") or "")
            if classification_type:
                decisive.append(classification_type)
            base_model_dir = pathlib.Path(fields["base_model_dir"]) if fields.get("base_model_dir") else None
            if base_model_dir is not None:
                decisive.append(base_model_dir.name)
            job = cls(
                folder=folder,
                labels=labels,
                model_type=fields["model_type"],
                budget_s=float(fields["budget_s"]),
                seed=int(fields["seed"]),
                threads=int(fields["threads"]),
                cache_bytes=int(fields["cache_bytes"]),
                stores=dict(fields.get("stores") or {}),
                score_floor=None if fields.get("score_floor") is None else float(fields["score_floor"]),
                recipe=dict(fields.get("recipe") or {}),
                weights_dir=pathlib.Path(fields["weights_dir"]) if fields.get("weights_dir") else None,
                classification_type=classification_type,
                base_model_dir=base_model_dir,
                fingerprint=hashlib.sha256(json.dumps(decisive, sort_keys=True).encode() + examples).hexdigest(),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error.strerror if isinstance(error, OSError) else repr(error)
            raise JobError(f"The training job {folder.name} is unreadable: {why}.") from error
        if not job.labels:
            raise JobError("There is no label to learn: the dataset has no annotated images.")
        if job.threads < 1 or job.budget_s <= 0 or job.seed < 0:
            raise JobError("threads and budget_s must be positive and seed must not be negative.")
        return job
