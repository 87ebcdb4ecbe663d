"""A base opened for a job: its manifest judged once, its index made, and what the job says of it at its end.

The first attempt puts what it has found in the plan, once; later attempts keep to that, so that the manifest of the new
folder says the same whatever was killed.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from boxwright import faults, objects, private, temporary
from boxwright.batch import spec_file
from boxwright.batch.job import BatchJob, BatchSpec
from boxwright.batch.output.candidates import ImageCandidates
from boxwright.batch.reuse import base_index
from boxwright.batch.reuse.base_folder import BaseFolder, UnusableError
from boxwright.batch.reuse.base_index import BaseIndex, ListedIndex
from boxwright.batch.reuse.former_results import FormerResults
from boxwright.batch.segments import Item

log = logging.getLogger(__name__)


@dataclasses.dataclass
class OpenedBase:
    """A base in use.

    Attributes:
        results: what the engine asks; None if nothing can be taken over.
        source: the base as the new manifest names it, ``{"manifest", "sha256"}``; None if there is none.
        reason: why nothing is taken over, or not all; empty otherwise.
    """

    results: FormerResults | None
    source: dict[str, str] | None
    reason: str
    index: BaseIndex | None = None
    listed: ListedIndex | None = None

    def known(self, items: Sequence[Item]) -> Sequence[ImageCandidates | None]:
        """See `FormerResults.of_segment`."""
        return [None] * len(items) if self.results is None else self.results.of_segment(items)

    def note_listed(self, items: Sequence[Item]) -> None:
        """Says that images are listed now."""
        if self.listed is not None:
            self.listed.add(item.id for item in items)

    def removed(self) -> bytes | None:
        """``removed.csv``: the images of the base that are not listed any more, one a line; None if it is not wanted."""
        if self.index is None or self.listed is None:
            return None
        content = io.StringIO(newline="")
        writer = csv.writer(content, lineterminator="\n")
        writer.writerows([image_id] for image_id in self.index.ids() if image_id not in self.listed)
        return content.getvalue().encode("utf-8", "replace")


@contextlib.contextmanager
def opened(job: BatchJob, stores: objects.Stores) -> Iterator[OpenedBase]:
    """The base of a job, as long as the job runs; one that is of no use is said, and costs the job nothing else."""
    if not job.spec.base:
        yield OpenedBase(None, None, job.spec.base_reason)
        return
    named = stores.named()
    try:
        base, found = BaseFolder.read(job.spec, named), None
    except UnusableError as error:
        base, found = None, str(error)
    first = _frozen(job.spec, stores, base, found)
    source = None if first["reason"] else {"manifest": first["manifest"], "sha256": first["sha256"]}
    if base is None or source is None or base.sha256 != source["sha256"]:
        reason = first["reason"] or found or f"{source and source['manifest']} has changed since the job began"
        log.warning("event=no_reuse base=%s reason=%s", job.spec.base, reason)
        yield OpenedBase(None, source, reason)
        return
    with contextlib.ExitStack() as kept:
        notes = job.folders.notes
        folder = pathlib.Path(notes) if notes else kept.enter_context(temporary.TemporaryFolder("base")).path
        path = folder / base_index.FILE
        private.make_folder(path.parent)
        images = base_index.make(path, base, named)
        faults.point("reuse.after_index")
        log.info("event=reuse base=%s images=%d", job.spec.base, images)
        index = BaseIndex(path, named)
        results = FormerResults(job.spec, index, stores)
        kept.callback(results.close)
        listed = kept.enter_context(contextlib.closing(ListedIndex())) if job.spec.only_new else None
        yield OpenedBase(results, source, "", index, listed)


def _frozen(spec: BatchSpec, stores: objects.Stores, base: BaseFolder | None, reason: str | None) -> dict[str, Any]:
    """What the first attempt has found of the base."""
    uri = objects.ObjectUri.parse(spec.scratch).child(spec_file.BASE_FILE)
    values = {
        "manifest": "" if base is None else str(base.manifest_uri),
        "sha256": "" if base is None else base.sha256,
        "reason": reason or "",
    }
    faults.point("reuse.before_base")
    if stores.put_once(uri, json.dumps(values).encode()):
        return values
    first: dict[str, Any] = json.loads(stores.get(uri))
    return first
