"""Candidates: all that a model has found in the images of a shard, down to a floor, as a Parquet file.

What is published is a selection of them, so another threshold needs no other prediction. Scores and corners are whole
millionths, exactly what the result lines round to. A file has a row an image:

    id, size_bytes, version (`objects.ObjectVersion`), sha256 (its first 16 bytes), width_px, height_px (upright), one_colour
    dhash, luma, sharpness (of the pixels that the network got: `images.appearance`)
    label (uint16, index into the labels of the metadata), score, and of a detector x0, y0, x1, y1: lists of one length

Version 1 has no version, one_colour, dhash, luma and sharpness.
Lists are in the order of the results, best score first. Later versions may add columns. The metadata, JSON in one key,
say what the file was made with, how many candidates of each label have which score, and images by their best score.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from arro3 import core
from arro3 import io as arrow_io

import boxwright
from boxwright import boxes, errors, kinds
from boxwright.batch.output.score_counts import ScoreCounts
from boxwright.images import appearance
from boxwright.predictions import ImagePrediction

FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)
METADATA_KEY = "boxwright"
SCALE = 10**boxes.SCORE_DECIMALS  # scores and corners are stored as multiples of its inverse
HISTOGRAM_BINS = 100  # of scores: bin k has those from k hundredths to below k + 1, the last one 1 too
SHA256_BYTES = 16
LEAST_BYTES, _MAGIC = 12, b"PAR1"  # of a Parquet file; at its start and its end
_CORNERS = ("x0", "y0", "x1", "y1")
_VALUES = {kinds.OBJECT_DETECTION.name: ("score", *_CORNERS), kinds.IMAGE_CLASSIFICATION.name: ("score",)}
_FACTS = {"size_bytes": np.int64, "width_px": np.int32, "height_px": np.int32}


class ImageCandidates(NamedTuple):
    """The row of one image, without its id; plain values, because it travels between processes.

    Attributes:
        size_bytes: of the image as it was read.
        sha256: of its bytes, the first 16 bytes.
        width_px: upright.
        height_px: upright.
        label_indices: uint16, little-endian.
        values: int32 millionths, little-endian, a row a result: score, and of a box its corners.
        looks: a record of `appearance.RECORD`.
        version: of the object that was read, `objects.ObjectVersion.version`; empty if none is known.
        one_colour: whether the network has seen a single colour.
    """

    size_bytes: int
    sha256: bytes
    width_px: int
    height_px: int
    label_indices: bytes
    values: bytes
    looks: bytes = appearance.UNKNOWN
    version: str = ""
    one_colour: bool = False


def of_image(
    content: bytes,
    size_hw: tuple[int, int],
    found: ImagePrediction,
    floor: float,
    looks: bytes = appearance.UNKNOWN,
) -> ImageCandidates:
    """The row of one image.

    Args:
        content: the image as it was read.
        size_hw: upright, in pixels.
        found: by the model, best score first.
        floor: lower scores, as they are published, are left out.
        looks: of the pixels that the network got, a record of `appearance.RECORD`.
    """
    scaled = np.empty((len(found.scores), 5 if isinstance(found, boxes.Detections) else 1))
    scaled[:, 0] = found.scores
    if isinstance(found, boxes.Detections):
        scaled[:, 1:] = found.boxes_norm
    scaled *= SCALE
    np.rint(scaled, out=scaled)
    count = int(np.count_nonzero(scaled[:, 0] / SCALE >= floor))  # as `keep`
    corners = scaled[:, 1:]
    np.minimum(np.maximum(corners, 0, out=corners), SCALE, out=corners)  # as `boxes.rounded_boxes`
    digest = hashlib.sha256(content).digest()[:SHA256_BYTES]
    labels = found.label_indices[:count].astype("<u2").tobytes()
    values = scaled[:count].astype("<i4").tobytes()
    return ImageCandidates(len(content), digest, size_hw[1], size_hw[0], labels, values, looks)


@dataclasses.dataclass(frozen=True)
class CandidateTable:
    """The candidates of some images, in their order.

    Attributes:
        ids: of the images, (N,).
        sha256: (N,), 16 bytes each.
        size_bytes: (N,) int64.
        width_px: (N,) int32, upright.
        height_px: (N,) int32, upright.
        looks: (N,) `appearance.RECORD`; luma and sharpness are no numbers where they are not known.
        versions: (N,), empty where none is known.
        one_colour: (N,) bool.
        offsets: (N + 1,) int32: where the candidates of each image begin, and the last ones end.
        label_indices: (M,) uint16.
        values: (V, M) int32 millionths: scores, and of a detector x0, y0, x1, y1.
    """

    ids: list[str]
    sha256: list[bytes]
    size_bytes: npt.NDArray[np.int64]
    width_px: npt.NDArray[np.int32]
    height_px: npt.NDArray[np.int32]
    looks: npt.NDArray[np.void]
    versions: list[str]
    one_colour: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int32]
    label_indices: npt.NDArray[np.uint16]
    values: npt.NDArray[np.int32]

    @classmethod
    def of(cls, kind: str, rows: Sequence[tuple[str, ImageCandidates]]) -> CandidateTable:
        """The table of a shard of that kind of models, from the ids and rows of its predicted images."""
        label_indices = np.frombuffer(b"".join(row.label_indices for _, row in rows), "<u2")
        values = np.frombuffer(b"".join(row.values for _, row in rows), "<i4").reshape(-1, len(_VALUES[kind]))
        return cls(
            ids=[image_id for image_id, _ in rows],
            sha256=[row.sha256 for _, row in rows],
            size_bytes=np.array([row.size_bytes for _, row in rows], np.int64),
            width_px=np.array([row.width_px for _, row in rows], np.int32),
            height_px=np.array([row.height_px for _, row in rows], np.int32),
            looks=np.frombuffer(b"".join(row.looks for _, row in rows), appearance.RECORD),
            versions=[row.version for _, row in rows],
            one_colour=np.array([row.one_colour for _, row in rows], bool),
            offsets=np.cumsum([0, *(len(row.label_indices) // 2 for _, row in rows)], dtype=np.int32),
            label_indices=label_indices.astype(np.uint16, copy=False),
            values=np.ascontiguousarray(values.T, np.int32),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, index: int) -> ImageCandidates:
        """The row of one image: of its rows, `of` makes the table again."""
        start, end = self.offsets[index : index + 2].tolist()
        return ImageCandidates(
            int(self.size_bytes[index]),
            self.sha256[index],
            int(self.width_px[index]),
            int(self.height_px[index]),
            self.label_indices[start:end].astype("<u2").tobytes(),
            np.ascontiguousarray(self.values[:, start:end].T, "<i4").tobytes(),
            self.looks[index].tobytes(),
            self.versions[index],
            bool(self.one_colour[index]),
        )

    def holds(self, label_count: int) -> bool:
        """Whether every number is one that a model with so many labels gives."""
        most_label = int(self.label_indices.max(initial=0))
        return not len(self.label_indices) or (
            most_label < label_count and int(self.values.min()) >= 0 and int(self.values.max()) <= SCALE
        )

    @functools.cached_property
    def scores(self) -> npt.NDArray[np.float64]:
        """(M,) as they are published."""
        scores: npt.NDArray[np.float64] = self.values[0] / SCALE
        return scores


@dataclasses.dataclass(frozen=True)
class CandidatesOrigin:
    """What the candidates of a job were made with.

    Attributes:
        kind: of the model.
        model: its resource name.
        model_digest: names its exact version.
        score_floor: see `BatchSpec.candidate_floor`.
        labels: (annotation spec id, display name) by label index.
        policy_digest: see `BatchSpec.policy_digest`; empty if an older version made them.
    """

    kind: str
    model: str
    model_digest: str
    score_floor: float
    labels: Sequence[Sequence[str]]
    policy_digest: str = ""


def to_parquet(table: CandidateTable, origin: CandidatesOrigin) -> bytes:
    """The file of a shard; equal tables and origins give equal bytes."""
    columns: dict[str, core.Array] = {"id": core.Array(encodable(table.ids), type=core.DataType.utf8())}
    columns["size_bytes"] = core.Array.from_numpy(table.size_bytes)
    columns["version"] = core.Array(encodable(table.versions), type=core.DataType.utf8())
    columns["sha256"] = core.Array(table.sha256, type=core.DataType.binary(SHA256_BYTES))
    columns["width_px"] = core.Array.from_numpy(table.width_px)
    columns["height_px"] = core.Array.from_numpy(table.height_px)
    columns["one_colour"] = core.Array(table.one_colour.tolist(), type=core.DataType.bool())
    for name in appearance.RECORD.names or ():
        columns[name] = core.Array.from_numpy(np.ascontiguousarray(table.looks[name]))
    offsets = core.Array.from_numpy(table.offsets)
    columns["label"] = core.list_array(offsets, core.Array.from_numpy(table.label_indices))
    for name, values in zip(_VALUES[origin.kind], table.values, strict=True):
        columns[name] = core.list_array(offsets, core.Array.from_numpy(values))
    metadata = {
        "format_version": FORMAT_VERSION,
        "software": f"boxwright {boxwright.__version__}",
        **dataclasses.asdict(origin),
        "scale": SCALE,
        "score_histograms": _histograms(table, len(origin.labels)).tolist(),
        "score_counts": counts_of(table, origin.labels).to_values(),
    }
    batch = core.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return parquet_bytes(batch, {METADATA_KEY: json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))})


def parquet_bytes(batch: core.RecordBatch, metadata: Mapping[str, str]) -> bytes:
    """A Parquet file with one batch."""
    target = io.BytesIO()
    arrow_io.write_parquet(
        batch,
        target,
        compression="zstd(1)",
        dictionary_enabled=False,  # the values hardly repeat: a third of the time, and two thirds of the size
        writer_version="parquet_2_0",
        key_value_metadata=dict(metadata),
        created_by="boxwright",
    )
    return target.getvalue()


def from_parquet(content: bytes, name: str) -> tuple[CandidateTable, CandidatesOrigin]:
    """Parses what `to_parquet` has made.

    Args:
        content: the file.
        name: of the file, for messages.

    Raises:
        ApiError: FAILED_PRECONDITION if it is of a version that this program does not read; INVALID_ARGUMENT if it is no
            such file.
    """
    try:
        metadata, found = _read(content)
        if metadata["format_version"] not in READ_VERSIONS:
            raise errors.failed_precondition(
                f"{name}: candidates of format version {metadata['format_version']} are not read by this Boxwright; "
                "use a newer one."
            )
        origin = CandidatesOrigin(
            **{
                field.name: metadata[field.name]
                for field in dataclasses.fields(CandidatesOrigin)
                if field.name in metadata or field.default is dataclasses.MISSING
            }
        )
        return _table(found, origin.kind), origin
    except errors.ApiError:
        raise
    except Exception as error:  # the library raises what its parts raise
        raise errors.bad_request(f"{name}: this is no file of candidates ({type(error).__name__}: {error}).") from error


def counts_of(table: CandidateTable, labels: Sequence[Sequence[str]]) -> ScoreCounts:
    """The counts of a table; `labels` are (annotation spec id, display name) by label index."""
    names = [name for _, name in labels]
    return ScoreCounts.of(table.values[0], SCALE, table.label_indices, table.offsets, names)


def metadata_of(source: IO[bytes]) -> dict[str, Any]:
    """What a file's metadata say; only its end is read.

    Raises:
        ValueError: it is no file of candidates of a version that this program reads.
    """
    try:
        metadata: dict[str, Any] = json.loads(arrow_io.read_parquet(source).schema.metadata[METADATA_KEY.encode()])
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":  # as in `_read`
            raise ValueError(f"it has no metadata of candidates ({type(error).__name__})") from error
        raise
    if metadata.get("format_version") not in READ_VERSIONS:
        raise ValueError("it has a format version that this Boxwright does not read")
    return metadata


def _read(content: bytes) -> tuple[dict[str, Any], core.Table]:
    """What the metadata say, and the columns."""
    if len(content) < LEAST_BYTES or not content.startswith(_MAGIC) or not content.endswith(_MAGIC):
        raise ValueError("it is no Parquet file, or not a whole one")
    try:
        reader = arrow_io.read_parquet(io.BytesIO(content), batch_size=1 << 30)
        return json.loads(reader.schema.metadata[METADATA_KEY.encode()]), reader.read_all()
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # no Exception: the library's way to say that bytes are damaged
            raise ValueError("it is damaged") from error
        raise


def _table(found: core.Table, kind: str) -> CandidateTable:
    if not found.num_rows:
        return CandidateTable.of(kind, [])

    def column(name: str) -> core.Array:
        return found.column(name).combine_chunks()

    facts: dict[str, Any] = {name: column(name).to_numpy().astype(number) for name, number in _FACTS.items()}
    facts |= {name: column(name).to_pylist() for name in ("id", "sha256")}
    looks = np.repeat(np.frombuffer(appearance.UNKNOWN, appearance.RECORD), found.num_rows)
    for name in set(appearance.RECORD.names or ()) & set(found.column_names):
        looks[name] = column(name).to_numpy()
    has_versions = {"version", "one_colour"} <= set(found.column_names)  # else it is of version 1
    lists = [column(name) for name in ("label", *_VALUES[kind])]
    offsets = core.list_offsets(lists[0]).to_numpy()
    labels, *values = (core.list_flatten(one).to_numpy() for one in lists)
    return CandidateTable(
        ids=facts.pop("id"),
        **facts,
        looks=looks,
        versions=list(column("version").to_pylist()) if has_versions else [""] * found.num_rows,
        one_colour=np.array(column("one_colour").to_pylist() if has_versions else [False] * found.num_rows, bool),
        offsets=np.asarray(offsets, np.int32),
        label_indices=np.asarray(labels, np.uint16),
        values=np.stack([np.asarray(one, np.int32) for one in values]),
    )


def _histograms(table: CandidateTable, label_count: int) -> npt.NDArray[np.int64]:
    """(C, B) candidates by label and score."""
    bins = np.minimum(table.values[0] // (SCALE // HISTOGRAM_BINS), HISTOGRAM_BINS - 1)
    places = table.label_indices.astype(np.int64) * HISTOGRAM_BINS + bins
    return np.bincount(places, minlength=label_count * HISTOGRAM_BINS).reshape(label_count, HISTOGRAM_BINS)


def digest_of(content: bytes) -> str:
    """The sha256 of a file, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def encodable(texts: Sequence[str]) -> list[str]:
    """The texts with halves of characters replaced, as the result lines have them."""
    return [text.encode("utf-8", "replace").decode() for text in texts]
