"""From evidence to one hypothesis of what a network is; two that are left are a refusal that names both.

The order: what the caller says, what the exporter has written, names of outputs and inputs, shapes, answers to probes. What
then still is more than one is decided by labelled images (`validation`), or not at all.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from boxwright.adapters import adapter_graph, layouts, probes
from boxwright.adapters.job import ImportJob
from boxwright.adapters.nodes import NodeWriter
from boxwright.adapters.recognition import Decoded, Layout, Look, MismatchError
from boxwright.adapters.source import Refused, Source, literal
from boxwright.images import letterbox

MAX_HYPOTHESES = 12
MAX_SIDE_PX, LEAST_SIDE_PX = 4096, 32
SIZE_KEY = "imgsz"  # in the metadata that Ultralytics' exporters write: height and width
SHOWN_REASONS = 6


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """What a network may be.

    Attributes:
        layout: what its outputs mean.
        input: what the image's numbers are, a name of `adapter_graph.INPUTS`.
        framing: how the image fills the frame.
        look: at the network, for decoding.
        evidence: why, in sentences.
    """

    layout: Layout
    input: str
    framing: letterbox.Framing
    look: Look
    evidence: tuple[str, ...]

    def __str__(self) -> str:
        return f"layout={self.layout.name} input={self.input} resize={self.framing.resize}"

    def network(self, source: Source) -> bytes:
        """The file with our contract."""

        def decode(writer: NodeWriter, names: Mapping[str, str]) -> Decoded:
            own = {name.removesuffix(":0"): moved for name, moved in names.items()}
            return self.layout.decode(writer, dataclasses.replace(self.look, names=own))

        return adapter_graph.framed(source, self.input, self.look.input_hw, decode)


def input_hw(source: Source, job: ImportJob) -> tuple[int, int]:
    """The size of the frame: the network's own; where that is open what the caller says, or the exporter has written.

    Raises:
        Refused: nobody says it, or two say different sizes.
    """
    fixed = source.image.hw
    written = literal(source.metadata.get(SIZE_KEY, ""))
    if fixed is not None:
        if job.input_hw not in (None, fixed):
            raise Refused(f"input_size: the network takes {fixed[1]} x {fixed[0]} pixels and nothing else.")
        found = fixed
    elif job.input_hw is not None:
        found = job.input_hw
    elif isinstance(written, list | tuple) and len(written) == 2 and all(isinstance(side, int) for side in written):
        found = (written[0], written[1])
    else:
        raise Refused(
            "The network takes images of any size. Say the one that it was trained for: input_size=WIDTHxHEIGHT."
        )
    if not all(LEAST_SIDE_PX <= side <= MAX_SIDE_PX for side in found):
        raise Refused(
            f"The network takes {found[1]} x {found[0]} pixels; sides of {LEAST_SIDE_PX} to {MAX_SIDE_PX} pixels are taken."
        )
    return found


def hypotheses(
    source: Source, job: ImportJob, labels: Sequence[str], image: npt.NDArray[np.uint8] | None
) -> list[Hypothesis]:
    """What is left of the table, at least one.

    Args:
        source: the network.
        job: what is asked for.
        labels: of the network.
        image: a frame with an image for the third probe, (1, H, W, 3); None if there is none.

    Raises:
        Refused: nothing is left; the text has the reasons.
    """
    hw = input_hw(source, job)
    shown = probes.frames(hw, image)
    takes_bytes = source.image.kind == TensorProto.UINT8

    @functools.cache
    def look(input_name: str) -> Look:
        found = probes.answers(source, input_name, hw, shown)
        if len(found) != len(source.outputs):
            raise Refused("Two outputs of the network have the same name.")
        names = {one.name.removesuffix(":0"): one.name for one in source.outputs}
        return Look(
            labels=len(labels),
            input_hw=hw,
            answers=found,
            names=names,
            inputs=tuple(one.name for one in source.others),
            takes_bytes=takes_bytes,
            metadata=source.metadata,
            is_said=bool(job.layout),
        )

    first = look("rgb255" if takes_bytes else "rgb01")
    layouts.check_task(first)
    candidates, why = _candidates(first, job)
    kept: list[Hypothesis] = []
    reasons: list[str] = []
    for layout in candidates:
        inputs, resizes = _choices(layout, job, takes_bytes=takes_bytes)
        for input_name in inputs:
            try:
                evidence = layout.recognise(look(input_name))
            except MismatchError as mismatch:
                reasons.append(f"{layout.name} {mismatch}.")
                continue
            for resize in resizes:
                framing = letterbox.Framing(resize, layout.fill if job.fill is None else job.fill)
                told = tuple(one for one in (why, *evidence) if one)
                kept.append(Hypothesis(layout, input_name, framing, look(input_name), told))
    if not kept:
        listed = " ".join(dict.fromkeys(reasons[:SHOWN_REASONS]))
        raise Refused(f"The network has none of the layouts that are known. {listed}")
    return kept


def _candidates(look: Look, job: ImportJob) -> tuple[list[Layout], str]:
    """The layouts that words and names leave, and the evidence that they are."""
    if job.layout:
        layout = layouts.of_name(job.layout)
        return [layout], f"The caller says layout={job.layout}."
    named = [one for one in layouts.TABLE if one.has_names_of(look)]
    if named:
        return named, f"The names of the outputs are those of {' or '.join(one.name for one in named)}."
    written = layouts.by_metadata(look)
    if len(written) < len(layouts.TABLE):
        return written, f"The file says of itself: {_said(look.metadata)}."
    return [one for one in layouts.TABLE if not one.outputs], ""


def _said(metadata: Mapping[str, str]) -> str:
    words = (metadata.get(key, "") for key in ("author", "description", layouts.TASK_KEY))
    return ", ".join(word[:80] for word in words if word) or "its licence"


def _choices(layout: Layout, job: ImportJob, *, takes_bytes: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The inputs and resizes to look at: what the caller says, else the layout's own."""
    inputs = (job.input,) if job.input else layout.inputs
    if takes_bytes:
        inputs = tuple(one for one in inputs if one in adapter_graph.BYTE_INPUTS)
        if job.input and not inputs:
            raise Refused(f"input: the network takes bytes, so it is one of {', '.join(adapter_graph.BYTE_INPUTS)}.")
        inputs = inputs or adapter_graph.BYTE_INPUTS[:1]
    return inputs, (job.resize,) if job.resize else layout.resizes


def check_single(found: Sequence[Hypothesis]) -> Hypothesis:
    """The only hypothesis that is left.

    Raises:
        Refused: there are more; the text names them, and what to say.
    """
    if len(found) == 1:
        return found[0]
    listed = "; ".join(str(one) for one in found[:MAX_HYPOTHESES])
    differing = [
        key
        for key, values in (
            ("layout", {one.layout.name for one in found}),
            ("input", {one.input for one in found}),
            ("resize", {one.framing.resize for one in found}),
        )
        if len(values) > 1
    ]
    raise Refused(
        f"The file can be read in {len(found)} ways: {listed}. Say {' and '.join(differing)}, or send a CSV of labelled "
        "images (20 or more) that decides."
    )
