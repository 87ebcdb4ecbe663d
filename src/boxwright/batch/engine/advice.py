"""What holds a batch prediction up and what helps, as one sentence from a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from boxwright.batch.engine import stages

OTHERS = "waiting for others"  # no stage: other jobs have the cores
SHARED_FROM = 0.5  # share of a job's time with others beside it, from which they count as what holds it up
LARGE_MEGAPIXELS = 2.0
_MILLION = 1e6


@dataclasses.dataclass(frozen=True)
class JobFacts:
    """What is known of a job's work, as far as a sentence says it.

    Attributes:
        elapsed_s: seconds of work.
        stages: seconds by stage, over all threads.
        amounts: see `stages.AMOUNTS`.
        precision: of the network.
        cores: that the job may use.
        shared: share of its time in which other batch predictions ran beside it, [0, 1].
    """

    elapsed_s: float
    stages: Mapping[str, float]
    amounts: Mapping[str, float]
    precision: str = ""
    cores: int = 1
    shared: float = 0.0

    @property
    def megabytes_per_s(self) -> float:
        """Of the images that were decoded."""
        return self.amounts.get(stages.BYTES, 0) / _MILLION / max(self.elapsed_s, 1e-3)

    @property
    def megabytes(self) -> float:
        """Of one image."""
        return self.amounts.get(stages.BYTES, 0) / _MILLION / max(1.0, self.amounts.get(stages.DECODED, 0))

    @property
    def megapixels(self) -> float:
        """Of one image."""
        return self.amounts.get(stages.PIXELS, 0) / _MILLION / max(1.0, self.amounts.get(stages.DECODED, 0))

    def share(self, stage: str) -> str:
        """A stage's share of the work, waiting aside."""
        left_out = (stages.WAITING, stages.READING)
        work_s = sum(spent_s for name, spent_s in self.stages.items() if name not in left_out)
        return f"{self.stages.get(stage, 0) / max(work_s, 1e-9):.0%} of the work"


def advice(bottleneck: str, facts: JobFacts) -> str:
    """One sentence about what holds a job up; empty if nothing is known.

    Args:
        bottleneck: from `stages.bottleneck`.
        facts: of the job.
    """
    if facts.shared >= SHARED_FROM:
        bottleneck = OTHERS
    made = _SENTENCES.get(bottleneck)
    return "" if made is None else made(facts)


def from_numbers(bottleneck: str, numbers: Mapping[str, Any], **known: Any) -> str:
    """The advice for numbers as an operation keeps them: ``elapsed_s``, ``stages``, ``amounts``."""
    facts = JobFacts(float(numbers.get("elapsed_s", 0)), numbers.get("stages", {}), numbers.get("amounts", {}), **known)
    return advice(bottleneck, facts)


def _reading(facts: JobFacts) -> str:
    return (
        f"Images of {facts.megabytes:.1f} MB arrive at {facts.megabytes_per_s:.1f} MB/s and {_cores(facts)} wait for them; "
        "a bucket that is nearer, or smaller copies of the images, make the job faster."
    )


def _decoding(facts: JobFacts) -> str:
    if facts.megapixels >= LARGE_MEGAPIXELS:
        return (
            f"Decoding images of {facts.megapixels:.1f} megapixels is {facts.share(stages.DECODING)}; smaller copies of "
            "the images make the job faster."
        )
    return (
        f"Decoding is {facts.share(stages.DECODING)} on {_cores(facts)}, with images of {facts.megapixels:.1f} megapixels; "
        "more cores, or a second worker, make the job faster."
    )


def _network(facts: JobFacts) -> str:
    begin = (
        f"The network ({facts.precision or 'unknown precision'}) is {facts.share(stages.NETWORK)} on {_cores(facts)}"
    )
    if facts.precision == "int8":
        return f"{begin}; more cores, a GPU or a second worker make the job faster."
    return (
        f"{begin}; a smaller type of model, int8 where the model has it, a GPU or a second worker make the job faster."
    )


def _postprocessing(facts: JobFacts) -> str:
    return (
        f"Making results of the network's output is {facts.share(stages.POSTPROCESSING)}; a higher score_threshold with "
        "candidates=none makes the job faster."
    )


def _writing(facts: JobFacts) -> str:
    return (
        f"Writing results is {facts.share(stages.WRITING)}; fewer formats, candidates=none, or a bucket that is nearer make "
        "the job faster."
    )


def _others(facts: JobFacts) -> str:
    return (
        f"Other batch predictions shared {_cores(facts)} for {facts.shared:.0%} of the time; jobs one after another take no "
        "longer in all, and a second worker makes each of them faster."
    )


def _cores(facts: JobFacts) -> str:
    return "1 core" if facts.cores == 1 else f"{facts.cores} cores"


_SENTENCES: dict[str, Callable[[JobFacts], str]] = {
    stages.READING: _reading,
    stages.DECODING: _decoding,
    stages.NETWORK: _network,
    stages.POSTPROCESSING: _postprocessing,
    stages.WRITING: _writing,
    OTHERS: _others,
}
