"""What the measuring process is told: which network to time, and with how much of the machine."""

from __future__ import annotations

import dataclasses
import json

from boxwright.batch.job import BatchJob, MachineShare


@dataclasses.dataclass(frozen=True)
class TuningCommand:
    """Time a network with several numbers of processes.

    Attributes:
        model_folder: the trained model's folder on this machine.
        precision: of the network; None for the one that the model has chosen.
        share: what a batch with it may use; its number of processes is what is looked for.
    """

    model_folder: str
    precision: str | None
    share: MachineShare

    @classmethod
    def for_job(cls, job: BatchJob) -> TuningCommand:
        """Times the network of a job, with what the job may use."""
        return cls(job.folders.model, job.spec.precision, dataclasses.replace(job.share, processes=0))

    def to_json(self) -> str:
        """Returns the command as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TuningCommand:
        """Parses what `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "share": MachineShare(**values["share"])})
