"""Batch jobs over real folders, for tests of the plan, the sink and the engine."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from boxwright import kinds, objects
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare

LIST_URI = "gs://b/list.csv"


@dataclasses.dataclass
class Bench:
    """A bucket ``b``, a state folder, and jobs on them, with models of one kind."""

    root: pathlib.Path
    kind: kinds.DatasetKind = kinds.OBJECT_DETECTION

    def __post_init__(self) -> None:
        self.bucket.mkdir(parents=True, exist_ok=True)
        self.stores = objects.Stores(self.root / "buckets", self.root / "state")

    @property
    def bucket(self) -> pathlib.Path:
        return self.root / "buckets" / "b"

    def write_list(self, lines: Sequence[str], name: str = "list.csv") -> str:
        """Writes a CSV into the bucket; returns its URI."""
        (self.bucket / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return f"gs://b/{name}"

    def job(
        self,
        name: str = "job",
        *,
        lists: Sequence[str] = (LIST_URI,),
        threads: int = 2,
        processes: int = 0,
        model_folder: pathlib.Path | str = "no-model",
        notes: pathlib.Path | str = "",
        **values: Any,
    ) -> BatchJob:
        """A job on this machine; see `spec` for the other values."""
        folders = JobFolders(str(model_folder), self.stores.to_config(), str(notes))
        return BatchJob(self.spec(name, lists=lists, **values), folders, MachineShare(threads, processes))

    def spec(
        self,
        name: str = "job",
        *,
        lists: Sequence[str] = (LIST_URI,),
        shard_images: int = 10,
        row_failure_limit: float = 0.5,
        score_threshold: float = 0.5,
        max_boxes: int | None = 100,
        **values: Any,
    ) -> BatchSpec:
        """A job whose results go to ``gs://b/NAME`` and whose plan lies below ``operations/NAME``."""
        return BatchSpec(
            input_uris=list(lists),
            output_directory=f"gs://b/{name}",
            scratch=str(self.stores.state(f"operations/{name}")),
            score_threshold=score_threshold,
            max_boxes=max_boxes,
            shard_images=shard_images,
            row_failure_limit=row_failure_limit,
            **({"kind": self.kind.name} | values),
        )

    def directory(self, name: str = "job") -> objects.ObjectUri:
        """A job's output folder as a URI."""
        return objects.ObjectUri("gs", self.bucket.name, name)

    def output(self, name: str = "job") -> dict[str, bytes]:
        """The files of a job's output folder, by their names in it."""
        folder = self.bucket / name
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }


def scores(line: bytes) -> list[float]:
    """The scores of a result line, in its order, whatever was found."""
    details = (list(one.values()) for one in json.loads(line)["annotations"])
    return [detail["score"] for values in details for detail in values if isinstance(detail, dict)]


def in_order(output: dict[str, bytes], prefix: str) -> bytes:
    """The concatenation of ``PREFIX_1..N.jsonl``, which must be numbered without holes."""
    files = sorted(
        (name for name in output if name.startswith(prefix)), key=lambda name: int(name[len(prefix) + 1 : -6])
    )
    assert files == [f"{prefix}_{number}.jsonl" for number in range(1, len(files) + 1)]
    return b"".join(output[name] for name in files)
