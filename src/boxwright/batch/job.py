"""A batch prediction as data: what decides its bytes, and what a machine gives for it. JSON in, JSON out.

BatchJob = spec     what to read, with which model, where to write: the same on every machine, kept with the plan
         + folders  where this machine keeps what the job needs
         + attempt  whose work it is now
         + share    cores, memory and runtime: how long it takes, never what comes out
TrialCommand        one image of a job, alone
EstimateCommand     a job that is estimated, and not done
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from boxwright import kinds
from boxwright.predictions import Selection

MANIFEST_FILE = "manifest.json"
DEFAULT_SHARD_IMAGES = 500  # a few seconds of work: what a crash may cost


@dataclasses.dataclass(frozen=True)
class BatchSpec:
    """What decides the bytes of a batch prediction: two runs of one spec over the same images write the same files.

    Attributes:
        input_uris: lists, archives, folders and patterns (`inputs.addresses`), or the manifests of former jobs, in order.
        output_directory: ``gs://…/prediction-…``, without a slash at its end.
        scratch: state URI below which the plan, the shard reports and this spec live.
        score_threshold: results with at least this score are kept, [0, 1].
        max_boxes: at most so many results per image; None for all.
        shard_images: images per output file.
        row_failure_limit: share of unusable rows above which the job fails as a whole, [0, 1].
        image_failure_limit: share of failed images above which the job fails at its end, [0, 1]; it always does if no
            image was predicted.
        image_timeout_s: an image whose decoding and prediction takes longer is left out; its error line says so.
        camel_case: spell the keys inside ``annotations`` as REST bodies do.
        precision: of the network; None for the one that the model has chosen.
        model: resource name of the model, for the manifest.
        ignored_params: the request's keys that mean nothing: ``{"key", "nearest"}`` each, for the manifest.
        pass_number: how many runs before this one have tried every image and failed by `image_failure_limit`; from the
            second pass on, failed images are tried again.
        kind: of the model, as `kinds` names it; the result files have this name.
        input_column: the column or key of the addresses in lists; empty for what is usual.
        input_suffixes: of images in folders and archives, with their full stops, or ``*``; none for the supported formats.
        labels: (annotation spec id, display name) of the model's labels, in their order; empty if an older version kept it.
        model_digest: names the model's exact version; empty as `labels` is.
        label_thresholds: least scores by display name, for labels that have their own, [0, 1].
        only_labels: display names of the labels whose results are written; None for all.
        candidate_floor: results with at least this score are kept as candidates; 0 for all that the model has; None: no
            candidates are kept.
        base: output folder of the former job whose results are taken over for images that have not changed; empty for none.
        base_reason: why there is no base although the request asks for one; empty otherwise.
        only_new: whether lines of images that were taken over are left out of the results.
        reuse_audit: share of the images with former results that are predicted all the same and compared, [0, 1].
        policy_digest: of what decides the candidates of an image besides its bytes (`policy.digest`).
        policy_floor: the least score of its candidates, as `candidate_floor`, whether they are kept or not.
        formats: in which the results are written beside the lines of JSON, as `output.result_formats` names them.
        report: whether a report is made of the candidates at the end.
    """

    input_uris: list[str]
    output_directory: str
    scratch: str
    score_threshold: float
    max_boxes: int | None
    shard_images: int
    row_failure_limit: float
    image_failure_limit: float = 1.0
    image_timeout_s: float = 60.0
    camel_case: bool = False
    precision: str | None = None
    model: str = ""
    ignored_params: list[dict[str, str | None]] = dataclasses.field(default_factory=list)
    pass_number: int = 0
    kind: str = kinds.OBJECT_DETECTION.name
    input_column: str = ""
    input_suffixes: list[str] = dataclasses.field(default_factory=list)
    labels: list[list[str]] = dataclasses.field(default_factory=list)
    model_digest: str = ""
    label_thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    only_labels: list[str] | None = None
    candidate_floor: float | None = None
    formats: list[str] = dataclasses.field(default_factory=list)
    report: bool = False
    base: str = ""
    base_reason: str = ""
    only_new: bool = False
    reuse_audit: float = 0.0
    policy_digest: str = ""
    policy_floor: float = 0.0

    def selection(self, display_names: Sequence[str]) -> Selection:
        """Which results are written; `display_names` are the model's labels, in their order."""
        return Selection.of(
            display_names, self.score_threshold, self.label_thresholds, self.only_labels, self.max_boxes
        )

    @property
    def reads_manifests(self) -> bool:
        """Whether results are made of the candidates of former jobs, and nothing is predicted."""
        return all(map(is_manifest, self.input_uris)) and bool(self.input_uris)

    @property
    def table_floor(self) -> float | None:
        """The least score of the results that a shard is told of as a table; None if it needs no table."""
        if self.candidate_floor is None and self.base:
            return self.policy_floor
        if self.candidate_floor is None and self.formats:
            return self.selection([name for _, name in self.labels]).lowest_threshold
        return self.candidate_floor

    @property
    def shard_pattern(self) -> str:
        """Makes the name of a result file of its number."""
        return f"{self.kind}_{{}}.jsonl"


@dataclasses.dataclass(frozen=True)
class JobFolders:
    """Where one machine keeps what a job needs. Nothing of it reaches the output.

    Attributes:
        model: the trained model's folder.
        stores: how to open the object stores (`objects.Stores.to_config`).
        notes: a folder for the notes on images in flight; empty for none.
    """

    model: str
    stores: dict[str, Any]
    notes: str = ""


@dataclasses.dataclass(frozen=True)
class MachineShare:
    """What a machine gives for a job. Nothing of it reaches the output.

    Attributes:
        cores: images worked on at the same time, at least 1.
        processes: how many do it together, the cores divided among them; 0 for one a core.
        runtime: what runs the network; see `runtime_selection.open_runtime`.
        in_flight_bytes: memory for images that are read and not yet predicted.
        models_bytes: memory for models that stay loaded for later jobs.
        priority_weight: of the job among others that it shares hosts with, above 0.
    """

    cores: int
    processes: int = 0
    runtime: str = "cpu"
    in_flight_bytes: int = 256_000_000
    models_bytes: int = 1_000_000_000
    priority_weight: float = 1.0

    @property
    def process_count(self) -> int:
        """How many processes the share is for; never more than it has cores."""
        return min(self.processes or self.cores, self.cores)

    def of_one_process(self) -> MachineShare:
        """The part of one process: of the cores and of the memory."""
        count = self.process_count
        return dataclasses.replace(
            self,
            cores=self.cores // count,
            processes=1,
            in_flight_bytes=max(1, self.in_flight_bytes // count),
            models_bytes=max(1, self.models_bytes // count),
        )


@dataclasses.dataclass(frozen=True)
class Attempt:
    """Who works on a job now. Nothing of it reaches the output.

    Attributes:
        operation: the operation's resource name.
        epoch: of its lease: each claim adds one.
    """

    operation: str
    epoch: int


@dataclasses.dataclass(frozen=True)
class BatchJob:
    """One batch prediction on one machine.

    Attributes:
        spec: what decides its bytes.
        folders: where this machine keeps what it needs.
        share: what this machine gives for it.
        attempt: who works on it; None if nobody else could.
    """

    spec: BatchSpec
    folders: JobFolders
    share: MachineShare
    attempt: Attempt | None = None

    def of_one_process(self) -> BatchJob:
        """The same job with the share of one process."""
        return dataclasses.replace(self, share=self.share.of_one_process())

    def to_json(self) -> str:
        """Returns the job as one line of JSON."""
        return json.dumps({"job": dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> BatchJob:
        """Parses what `to_json` wrote."""
        return cls.from_values(json.loads(text)["job"])

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> BatchJob:
        """The reverse of `dataclasses.asdict`."""
        spec, folders, share = values["spec"], values["folders"], values["share"]
        attempt = values.get("attempt")
        return cls(
            BatchSpec(**spec),
            JobFolders(**folders),
            MachineShare(**share),
            None if attempt is None else Attempt(**attempt),
        )


@dataclasses.dataclass(frozen=True)
class TrialCommand:
    """Predict one image of a job alone and write nothing, to see whether the process survives it.

    Attributes:
        image_id: the image's URI.
        job: the job that it belongs to.
    """

    image_id: str
    job: BatchJob

    def to_json(self) -> str:
        """Returns the command as one line of JSON."""
        return json.dumps({"trial": self.image_id, "job": dataclasses.asdict(self.job)})


@dataclasses.dataclass(frozen=True)
class EstimateCommand:
    """Say what a job would read, take and write, and write nothing.

    Attributes:
        job: the job.
    """

    job: BatchJob

    def to_json(self) -> str:
        """Returns the command as one line of JSON."""
        return json.dumps({"estimate": True, "job": dataclasses.asdict(self.job)})


def command_from_json(text: str) -> BatchJob | TrialCommand | EstimateCommand:
    """Parses one line that an inference child is sent: a job, a trial or an estimate.

    Raises:
        ValueError, TypeError, KeyError: it is none of them.
    """
    values = json.loads(text)
    job = BatchJob.from_values(values["job"])
    if "estimate" in values:
        return EstimateCommand(job)
    return TrialCommand(values["trial"], job) if "trial" in values else job


def is_manifest(uri: str) -> bool:
    """Whether an input URI names a former job by its manifest, and is no list of images."""
    return uri.endswith(f"/{MANIFEST_FILE}")


def stamp(create_time_us: int) -> str:
    """Returns ``YYYY-MM-DDThh:mm:ss.sssZ``, true UTC: the form of time in output folders' names."""
    moment = datetime.datetime.fromtimestamp(create_time_us / 1_000_000, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{create_time_us // 1000 % 1000:03d}Z"
