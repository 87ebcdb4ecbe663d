"""One image all the way: read, decode, infer, encode. Every engine predicts with this code and no other.

ImagePipeline(spec, stores, predictor, journal)
read(item) -> ReadImage | ApiError | None   the image's bytes, or why there are none
line(item, content, stopwatch) -> Line      its result line, or its error line with the status
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from typing import NamedTuple, TypeAlias

from google.rpc import status_pb2

from boxwright import errors, faults, objects
from boxwright.batch.engine import stages
from boxwright.batch.engine.in_flight import Journal
from boxwright.batch.entry import HeldBytes
from boxwright.batch.inputs import member_files
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import candidates, json_lines
from boxwright.batch.output.candidates import ImageCandidates
from boxwright.batch.reuse.former_results import FormerResults
from boxwright.batch.segments import Item
from boxwright.images import appearance, decode
from boxwright.images.letterbox import Prepared
from boxwright.inference.loaded_model import LoadedModel
from boxwright.predictions import ImagePrediction


class ReadImage(NamedTuple):
    """An image's bytes, and the version of the object that they are (`objects.ObjectVersion`), empty if it has none."""

    content: bytes
    version: str = ""


Content: TypeAlias = ReadImage | errors.ApiError | None  # an image, why there is none, None: it need not be read

log = logging.getLogger(__name__)


class ResultLine(NamedTuple):
    """The outcome of one image.

    Attributes:
        text: one line of output.
        status: why the image failed; None if it was predicted.
        is_one_colour: whether a predicted image has a single colour.
        candidates: what a predicted image has in the shard's table, if the job needs one.
        is_reused: whether they were taken over from the job's base; then there is no text yet.
    """

    text: bytes
    status: status_pb2.Status | None = None
    is_one_colour: bool = False
    candidates: ImageCandidates | None = None
    is_reused: bool = False

    @classmethod
    def reused(cls, row: ImageCandidates) -> ResultLine:
        """The outcome of an image whose results are taken over."""
        return cls(b"", None, row.one_colour, row, is_reused=True)


class _AuditError(Exception):
    """An image does not have the results that it had: the job as a whole cannot go on."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class ImagePipeline:
    """What happens to one image of a job. Safe for any number of threads.

    Args:
        spec: the job's threshold, number of results and spelling.
        stores: where images come from.
        predictor: the opened model.
        journal: records the images in flight and knows those that must not be touched; None: neither.
        former: the results of the job's base; None if there are none.
    """

    def __init__(
        self,
        spec: BatchSpec,
        stores: objects.Stores,
        predictor: LoadedModel,
        journal: Journal | None = None,
        former: FormerResults | None = None,
    ) -> None:
        self._former = former
        self._images = objects.Breaker(stores)
        self._predictor = predictor
        self._journal = journal
        self._labels = [(label.annotation_spec_id, label.display_name) for label in predictor.labels]
        self._selection = spec.selection([label.display_name for label in predictor.labels])
        self._table_floor = spec.table_floor
        self._keys = json_lines.CAMEL_CASE if spec.camel_case else json_lines.SNAKE_CASE

    def read(self, item: Item) -> Content:
        """Reads one image.

        Raises:
            ApiError: the store is lost, the job as a whole cannot go on; `WaitEndedError` if it is to stop.
        """
        if item.failure is not None or (self._journal is not None and item.id in self._journal.convicted):
            return None
        if item.held is not None:
            return ReadImage(_member(item, item.held))
        try:
            uri = objects.ObjectUri.parse(item.id)
            return ReadImage(*self._images.get_with_version(uri, max_bytes=decode.MAX_IMAGE_BYTES))
        except objects.WaitEndedError:
            raise  # it says nothing of the image
        except errors.ApiError as error:
            return error
        except objects.StoreLost as lost:
            raise lost.error from lost
        except Exception:
            return _incident(item)

    def line(self, item: Item, content: Content, laps: stages.Stopwatch) -> ResultLine:
        """Predicts one image that was read, or takes over its former results. What goes wrong becomes its error line.

        Raises:
            ApiError: ABORTED: an audited image does not have the results that it had.
        """
        try:
            former = self._former_row(item, content)
            if former is not None and self._former is not None and not self._former.is_audited(item.id):
                return ResultLine.reused(former)
            found, prepared = self._predict(item, content, laps)
            row = None
            if self._table_floor is not None:
                assert isinstance(content, ReadImage), "an image that was predicted has been read"
                looks = appearance.of(prepared)
                row = candidates.of_image(content.content, prepared.size_hw, found, self._table_floor, looks)
                row = row._replace(version=content.version, one_colour=prepared.is_one_colour)
                if former is not None and self._former is not None:
                    _audit(self._former, item, former, row)
            text = json_lines.success_line(item.id, self._selection.keep(found), self._labels, self._keys)
            return ResultLine(text, None, prepared.is_one_colour, row)
        except _AuditError as differs:
            raise differs.error from differs
        except errors.ApiError as error:
            status = error.status
        except decode.DecodeError as error:
            status = errors.bad_request(f"{item.id}: {error}").status
        except Exception:
            # one image must never cost the others theirs, whatever a decoder or a runtime may raise
            status = _incident(item).status
        finally:
            laps.end(stages.WRITING)
        return ResultLine(
            json_lines.error_line(item.id, status_pb2.Status(code=status.code, message=status.message)), status
        )

    def run(self, image_id: str, held: HeldBytes | None = None) -> None:
        """Takes one image all the way and forgets the result; `held` are its bytes if it is a member of an archive."""
        item = Item(image_id, held=held)
        self.line(item, self.read(item), stages.Stopwatch())

    def _former_row(self, item: Item, content: Content) -> ImageCandidates | None:
        """The results of the job's base for an image that was read, if there are any."""
        if self._former is None or item.failure is not None or not isinstance(content, ReadImage):
            return None
        return self._former.of_image(item.id, content.content, content.version)

    def _predict(self, item: Item, content: Content, laps: stages.Stopwatch) -> tuple[ImagePrediction, Prepared]:
        """What the model finds, down to the lowest score that a result or a candidate may have, and the prepared image."""
        if item.failure is not None:
            raise errors.bad_request(item.failure)
        if self._journal is not None and item.id in self._journal.convicted:
            raise errors.from_status(self._journal.convicted[item.id])
        if not isinstance(content, ReadImage):
            assert content is not None, "an image that is to be predicted has been read"
            raise content
        lowest = self._selection.lowest_threshold
        floor = lowest if self._table_floor is None else min(lowest, self._table_floor)
        with self._journal.watched(item.id) if self._journal is not None else contextlib.nullcontext():
            faults.point(f"image {item.id}")
            prepared = self._predictor.prepare(content.content)
            laps.count(len(content.content), prepared.size_hw[0] * prepared.size_hw[1])
            laps.end(stages.DECODING)
            raw = self._predictor.infer(prepared)
            laps.end(stages.NETWORK)
            found = self._predictor.postprocess(raw, prepared, floor)
            laps.end(stages.POSTPROCESSING)
        return found, prepared


def _member(item: Item, held: HeldBytes) -> bytes:
    """The bytes of an archive's member.

    Raises:
        ApiError: ABORTED: they are gone, because another attempt has begun.
    """
    try:
        return member_files.read(held)
    except FileNotFoundError as error:
        raise errors.aborted(
            f"{item.id} was read from its archive, and its bytes are not on this machine any more; resume the operation."
        ) from error


def _audit(results: FormerResults, item: Item, former: ImageCandidates, now: ImageCandidates) -> None:
    try:
        results.check(item.id, former, now)
    except errors.ApiError as error:
        raise _AuditError(error) from error


def _incident(item: Item) -> errors.ApiError:
    incident_id = uuid.uuid4().hex[:12]
    log.exception("event=image_incident incident=%s image=%s", incident_id, item.id)
    return errors.internal(incident_id)
