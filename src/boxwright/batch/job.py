"""A batch prediction as data: what to read, with which model, where to write. JSON in, JSON out."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

DEFAULT_SHARD_IMAGES = 500  # a few seconds of work: what a crash may cost


@dataclasses.dataclass(frozen=True)
class BatchJob:
    """Everything that an engine needs to know of one batch prediction.

    Attributes:
        input_uris: the CSV objects, in order.
        output_directory: ``gs://…/prediction-…``, without a slash at its end.
        scratch: state URI below which the plan and the shard reports live.
        model_folder: the trained model's folder on this machine.
        score_threshold: results with at least this score are kept, [0, 1].
        max_boxes: at most so many results per image.
        shard_images: images per output file.
        row_failure_limit: share of unusable rows above which the job fails as a whole, [0, 1].
        image_failure_limit: share of failed images above which the job fails at its end, [0, 1]; it always does if no
            image was predicted.
        ignored_params: the request's keys that mean nothing: ``{"key", "nearest"}`` each, for the manifest.
        pass_number: how many runs before this one have tried every image and failed by that limit; from the second pass
            on, failed images are tried again.
        stores: how to open the object stores (`objects.Stores.to_config`).
        threads: images worked on at the same time; never changes a result.
        model: resource name of the model, for the manifest.
        guard_folder: a folder on this machine for the notes on images under way; empty for none.
        image_timeout_s: an image whose decoding and prediction takes longer is left out.
        camel_case: spell the keys inside ``annotations`` as REST bodies do.
        runtime: what runs the network; see `runtimes.open_runtime`.
        precision: of the network; None for the one that the model has chosen.
        in_flight_bytes: memory for images that are read and not yet predicted.
        models_bytes: memory for models that stay loaded for later jobs.
        probe: do nothing but predict this one image, to see whether the process survives it.
        processes: how many do it together, `threads` divided among them; 0 for one a thread; never changes a result.
    """

    input_uris: list[str]
    output_directory: str
    scratch: str
    model_folder: str
    score_threshold: float
    max_boxes: int
    shard_images: int
    row_failure_limit: float
    stores: dict[str, Any]
    threads: int
    model: str = ""
    guard_folder: str = ""
    image_timeout_s: float = 60.0
    probe: str = ""
    camel_case: bool = False
    runtime: str = "cpu"
    precision: str | None = None
    in_flight_bytes: int = 256_000_000
    models_bytes: int = 1_000_000_000
    processes: int = 0
    image_failure_limit: float = 1.0
    ignored_params: list[dict[str, str | None]] = dataclasses.field(default_factory=list)
    pass_number: int = 0

    def to_json(self) -> str:
        """Returns the job as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BatchJob:
        """Parses what `to_json` wrote."""
        return cls(**json.loads(text))


def stamp(create_time_us: int) -> str:
    """Returns ``YYYY-MM-DDThh:mm:ss.sssZ``, true UTC: the form of time in output folders' names."""
    moment = datetime.datetime.fromtimestamp(create_time_us / 1_000_000, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{create_time_us // 1000 % 1000:03d}Z"
