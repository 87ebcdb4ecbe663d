"""From a file and its job to a model folder: read, recognise, adapt, validate, publish.

make(folder, job, tell)     makes `model` in the job's folder; what it has found out goes to `tell` and into model.json
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import boxwright
from boxwright.adapters import label_list, precision, selection, source, validation
from boxwright.adapters.job import SOURCE_FILE, UNVALIDATED, ImportJob
from boxwright.adapters.selection import Hypothesis
from boxwright.adapters.source import Refused, Source
from boxwright.adapters.validation import Example
from boxwright.images import decode, letterbox
from boxwright.inference.model_folder import ModelError
from boxwright.inference.predictor import Predictor
from boxwright.inference.suppression import SUPPRESSION_IOU, VOTING
from boxwright.learning import model_draft

MODEL_TYPE = "imported"
SCORE_FLOOR = 0.01
MAX_DETECTIONS = 500
NEVER_SUPPRESSED = 1.0  # no two boxes overlap more
LICENCE_KEYS = ("license", "licence")  # in a file's metadata
MAX_LICENCE_CHARS = 200
# Licences with duties for those who offer the network as a service: words of their names, and what to check.
BINDING = (
    ("agpl", "who uses it over a network may ask for the source of the whole service"),
    ("gpl", "who passes it on passes on the source as well"),
    ("platform model license", "its terms limit who may use it"),
    ("pml", "its terms limit who may use it"),
    ("non-commercial", "it must not be used for business"),
    ("noncommercial", "it must not be used for business"),
)
Tell = Callable[[int, str, dict[str, Any]], None]  # percent, stage, facts


def make(folder: pathlib.Path, job: ImportJob, tell: Tell) -> list[str]:
    """Makes the model folder; returns warnings for the caller, a sentence each.

    Raises:
        Refused: the file is not taken; the text says why.
        OSError, MemoryError: as it says.
    """
    tell(2, "reading", {})
    network = source.read(folder / SOURCE_FILE)
    labels = label_list.checked(job.labels or label_list.of_metadata(network.metadata))
    examples = validation.read_examples(folder, labels)
    if examples and len(examples) < validation.LEAST_IMAGES:
        raise Refused(
            f"The CSV has {len(examples)} images; {validation.LEAST_IMAGES} or more decide something. Send more, or none."
        )
    tell(10, "recognising", {})
    frame = _probe(network, job, examples)
    found = selection.hypotheses(network, job, labels, frame)
    draft = folder / model_draft.DRAFT_FOLDER
    writer = _DraftWriter(draft, network, job, labels)
    evidence: list[str] = []
    if len(found) > 1 and examples:
        tell(30, "comparing", {"hypotheses": [str(one) for one in found]})
        chosen, evidence = _best(found, writer, examples)
    else:
        chosen = selection.check_single(found)
    facts: dict[str, Any] = {
        "layout": chosen.layout.name,
        "evidence": [*chosen.evidence, *evidence],
        "input": chosen.input,
        "resize": chosen.framing.resize,
        "fill": chosen.framing.fill,
    }
    tell(60, "validating" if examples else "checking", facts)
    opened = writer.opened(chosen, evidence)
    evaluation, warnings = _judged(opened, examples, job)
    if not examples:
        facts["validation"] = UNVALIDATED
    writer.write(chosen, evidence, evaluation)
    tell(75, "quantising", facts)
    if precision.choose(draft, examples, job)["chosen"] != "fp32":
        assert evaluation is not None
        quantised = Predictor.open(draft, streams=job.threads)  # the evaluation is of what predicts
        evaluation = validation.evaluation(quantised, examples, job.threads)
    warnings += _licence_warnings(writer.licence)
    model_draft.publish(draft, folder / model_draft.MODEL_FOLDER, evaluation or {})
    tell(99, "done", facts)
    return warnings


def _probe(network: Source, job: ImportJob, examples: Sequence[Example]) -> Any:
    """The first labelled image as a frame."""
    if not examples:
        return None
    hw = selection.input_hw(network, job)
    try:
        image = decode.decode(examples[0].file.read_bytes(), hw)
    except decode.DecodeError as error:
        raise Refused(f"An image of the CSV cannot be used: {error.reason}") from None
    return letterbox.letterbox(image, hw).pixels


def _best(
    found: Sequence[Hypothesis], writer: _DraftWriter, examples: Sequence[Example]
) -> tuple[Hypothesis, list[str]]:
    """The hypothesis that finds most, if it is well ahead of the others; and the evidence for that."""
    if len(found) > selection.MAX_HYPOTHESES:
        selection.check_single(found)
    scores = []
    for one in found:
        scores.append(validation.average_precision(writer.opened(one, []), examples, writer.job.threads))
    order = sorted(range(len(found)), key=lambda number: -scores[number])
    best, second = order[:2]
    images = min(len(examples), validation.CHOSEN_ON)
    listed = "; ".join(f"{found[number]}: {scores[number]:.3f}" for number in order)
    if scores[best] - scores[second] < validation.LEAST_LEAD:
        raise Refused(
            f"The CSV does not decide in which way the file is to be read: mAP at 0.5 on {images} images is {listed}. The "
            f"best must be {validation.LEAST_LEAD:.2f} ahead. Say layout, input or resize."
        )
    return found[best], [f"mAP at 0.5 on {images} labelled images: {listed}."]


def _judged(opened: Predictor, examples: Sequence[Example], job: ImportJob) -> tuple[dict[str, Any] | None, list[str]]:
    """The evaluation, and what to warn of."""
    if not examples:
        return None, [
            "The model is unvalidated: no labelled images were sent. Look at its boxes before you rely on it, or import it "
            "again with a CSV of labelled images."
        ]
    evaluation = validation.evaluation(opened, examples, job.threads)
    score = evaluation["extras"]["map50"]
    if score >= validation.LEAST_SCORE:
        return evaluation, []
    why = (
        f"The network finds next to none of the boxes of the CSV: mAP at 0.5 is {score:.3f} on {len(examples)} images."
    )
    if not job.accepts_unvalidated:
        raise Refused(f"{why} Look at labels, input and resize; accept=unvalidated imports it all the same.")
    return evaluation, [why]


def _licence_warnings(licence: str) -> list[str]:
    lower = licence.lower()
    for word, why in BINDING:
        if word in lower:
            return [f"The network's licence is '{licence}': {why}. Read it before you offer the network to others."]
    return []


class _DraftWriter:
    """Writes hypotheses as a draft of the model folder, one at a time."""

    def __init__(self, draft: pathlib.Path, network: Source, job: ImportJob, labels: Sequence[str]) -> None:
        self.job = job
        said = next((network.metadata[key] for key in LICENCE_KEYS if network.metadata.get(key)), "")
        self.licence = (job.licence or said)[:MAX_LICENCE_CHARS]
        self._draft = draft
        self._network = network
        self._labels = label_list.with_ids(labels, job.model_id)

    def opened(self, chosen: Hypothesis, evidence: Sequence[str]) -> Predictor:
        """The draft, loaded.

        Raises:
            Refused: it does not run.
        """
        self.write(chosen, evidence, None)
        try:
            return Predictor.open(self._draft, streams=self.job.threads)
        except (ModelError, RuntimeError) as error:
            raise Refused(
                f"The network does not run with the nodes of its layout {chosen.layout.name}: {error}"
            ) from None

    def write(self, chosen: Hypothesis, evidence: Sequence[str], evaluation: dict[str, Any] | None) -> None:
        """Writes model.json and model.onnx."""
        job, layout, framing = self.job, chosen.layout, chosen.framing
        usual_iou = SUPPRESSION_IOU if layout.is_suppressed else NEVER_SUPPRESSED
        adapter: dict[str, Any] = {
            "layout": layout.name,
            "evidence": [*chosen.evidence, *evidence],
            "input": chosen.input,
            "validation": "none" if evaluation is None else "labelled images",
        }
        if evaluation is None:
            adapter["validation"] = UNVALIDATED
        else:
            adapter |= {"map50": round(evaluation["extras"]["map50"], 4), "images": evaluation["extras"]["images"]}
        document: dict[str, Any] = {
            "model_type": MODEL_TYPE,
            "input_hw": list(chosen.look.input_hw),
            "image_policy": decode.POLICY,
            "preprocessing": {
                "colour": "BGR" if chosen.input.startswith("bgr") else "RGB",
                "orientation": "EXIF applied",
                "resize": f"bilinear, antialiased, {_RESIZE_WORDS[framing.resize]}",
                "resize_mode": framing.resize,
                "fill": framing.fill,
                "input": "uint8 NHWC; order of colours and normalisation are in the graph",
            },
            "score_floor": SCORE_FLOOR,
            "nms_iou": usual_iou if job.nms_iou is None else job.nms_iou,
            "max_detections": MAX_DETECTIONS,
            "adapter": adapter,
            "licence": self.licence or "not said",
            "provenance": {"boxwright_version": boxwright.__version__, "imported": True},
        }
        if layout.is_suppressed:
            document["box_voting"] = dataclasses.asdict(VOTING)
        model_draft.write(self._draft, chosen.network(self._network), self._labels, document)


_RESIZE_WORDS = {
    letterbox.LETTERBOX: "aspect kept, centred",
    letterbox.LETTERBOX_TOP_LEFT: "aspect kept, in the upper left corner",
    letterbox.STRETCH: "aspect not kept",
}
