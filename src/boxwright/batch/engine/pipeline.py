"""One image all the way: read, decode, infer, encode. Every engine predicts with this code and no other.

ImagePipeline(spec, stores, predictor, journal)
read(item) -> bytes | ApiError | None       the image's bytes, or why there are none
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
from boxwright.batch.plan import Item
from boxwright.images import decode
from boxwright.images.letterbox import Prepared
from boxwright.inference.loaded_model import LoadedModel
from boxwright.predictions import ImagePrediction

Content: TypeAlias = bytes | errors.ApiError | None  # an image's bytes, why there are none, None: it need not be read

log = logging.getLogger(__name__)


class ResultLine(NamedTuple):
    """The outcome of one image.

    Attributes:
        text: one line of output.
        status: why the image failed; None if it was predicted.
        is_one_colour: whether a predicted image has a single colour.
        candidates: what a predicted image has in the shard's table, if the job needs one.
    """

    text: bytes
    status: status_pb2.Status | None = None
    is_one_colour: bool = False
    candidates: ImageCandidates | None = None


class ImagePipeline:
    """What happens to one image of a job. Safe for any number of threads.

    Args:
        spec: the job's threshold, number of results and spelling.
        stores: where images come from.
        predictor: the opened model.
        journal: records the images in flight and knows those that must not be touched; None: neither.
    """

    def __init__(
        self, spec: BatchSpec, stores: objects.Stores, predictor: LoadedModel, journal: Journal | None = None
    ) -> None:
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
            ApiError: the store is lost; the job as a whole cannot go on.
        """
        if item.failure is not None or (self._journal is not None and item.id in self._journal.convicted):
            return None
        if item.held is not None:
            return _member(item, item.held)
        try:
            return self._images.get(objects.ObjectUri.parse(item.id), max_bytes=decode.MAX_IMAGE_BYTES)
        except errors.ApiError as error:
            return error
        except objects.StoreLost as lost:
            raise lost.error from lost
        except Exception:
            return _incident(item)

    def line(self, item: Item, content: Content, laps: stages.Stopwatch) -> ResultLine:
        """Predicts one image that was read. Whatever goes wrong becomes the image's own error line."""
        try:
            found, prepared = self._predict(item, content, laps)
            row = None
            if self._table_floor is not None:
                assert isinstance(content, bytes), "an image that was predicted has been read"
                row = candidates.of_image(content, prepared.size_hw, found, self._table_floor)
            text = json_lines.success_line(item.id, self._selection.keep(found), self._labels, self._keys)
            return ResultLine(text, None, prepared.is_one_colour, row)
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

    def _predict(self, item: Item, content: Content, laps: stages.Stopwatch) -> tuple[ImagePrediction, Prepared]:
        """What the model finds, down to the lowest score that a result or a candidate may have, and the prepared image."""
        if item.failure is not None:
            raise errors.bad_request(item.failure)
        if self._journal is not None and item.id in self._journal.convicted:
            raise errors.from_status(self._journal.convicted[item.id])
        if not isinstance(content, bytes):
            assert content is not None, "an image that is to be predicted has been read"
            raise content
        lowest = self._selection.lowest_threshold
        floor = lowest if self._table_floor is None else min(lowest, self._table_floor)
        with self._journal.watched(item.id) if self._journal is not None else contextlib.nullcontext():
            faults.point(f"image {item.id}")
            prepared = self._predictor.prepare(content)
            laps.count(len(content), prepared.size_hw[0] * prepared.size_hw[1])
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


def _incident(item: Item) -> errors.ApiError:
    incident_id = uuid.uuid4().hex[:12]
    log.exception("event=image_incident incident=%s image=%s", incident_id, item.id)
    return errors.internal(incident_id)
