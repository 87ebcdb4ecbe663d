"""What became of every shard, in a few bytes each: a list of ten million images has twenty thousand shards."""

from __future__ import annotations

import array
import collections
import dataclasses
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

_RECORD = struct.Struct("<II32s")  # images predicted, images failed, sha256 of the shard's bytes
_DIGEST_BYTES = 32
_ABSENT = bytes(_RECORD.size)  # no digest is all zeros
_NO_DIGEST = bytes(_DIGEST_BYTES).hex()


@dataclasses.dataclass(frozen=True)
class OutputFile:
    """One file of the output folder: its name, number of lines, and the sha256 of its bytes."""

    name: str
    lines: int
    sha256: str


class ShardIndex:
    """The shards that are finished, by number. Safe to add to from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records = bytearray()
        self.predicted = 0
        self.failed = 0
        self.errors_by_code: collections.Counter[str] = collections.Counter()
        self._one_colour: dict[int, int] = {}  # shards that have some
        self._reused = array.array("I")  # by shard, 0 where there are none; as long as the last shard that has some
        self._sidecars: dict[str, bytearray] = {}  # digests by kind, 32 bytes a shard; zeros where there is none

    def add(
        self,
        shard: int,
        predicted: int,
        failed: int,
        sha256: str,
        errors_by_code: Mapping[str, int],
        one_colour: int = 0,
        sidecars: Mapping[str, str] | None = None,
        reused: int = 0,
    ) -> bool:
        """Counts a shard; one that is counted already stays as it is. Returns whether it is new.

        Args:
            shard: its number, from 1.
            predicted: images with a line in it.
            failed: images with an error line; with `predicted` and `reused` at least 1.
            sha256: hexadecimal digest of its bytes.
            errors_by_code: the failed images by canonical code name.
            one_colour: predicted images that have a single colour.
            sidecars: hexadecimal digests of the files beside it, by kind.
            reused: images that were taken over from the job's base.
        """
        start, end = (shard - 1) * _RECORD.size, shard * _RECORD.size
        with self._lock:
            if len(self._records) < end:
                self._records.extend(bytes(end - len(self._records)))
            is_new = self._records[start:end] == _ABSENT
            if is_new:
                self._records[start:end] = _RECORD.pack(predicted, failed, bytes.fromhex(sha256))
                self.predicted += predicted
                self.failed += failed
                self.errors_by_code.update(errors_by_code)
                if one_colour:
                    self._one_colour[shard] = one_colour
                if reused:
                    self._reused.extend([0] * max(0, shard - len(self._reused)))
                    self._reused[shard - 1] = reused
                for kind, digest in (sidecars or {}).items():
                    digests = self._sidecars.setdefault(kind, bytearray())
                    digests.extend(bytes(max(0, shard * _DIGEST_BYTES - len(digests))))
                    digests[(shard - 1) * _DIGEST_BYTES : shard * _DIGEST_BYTES] = bytes.fromhex(digest)

            return is_new

    def __contains__(self, shard: int) -> bool:
        start, end = (shard - 1) * _RECORD.size, shard * _RECORD.size
        return end <= len(self._records) and self._records[start:end] != _ABSENT

    def __len__(self) -> int:
        """How many shards are counted."""
        return sum(any(digest) for _, _, digest in _RECORD.iter_unpack(bytes(self._records)))

    def first_absent(self) -> int:
        """The number of the first shard that is not counted."""
        records = enumerate(_RECORD.iter_unpack(bytes(self._records)), 1)
        return next(
            (shard for shard, (_, _, digest) in records if not any(digest)), len(self._records) // _RECORD.size + 1
        )

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """All of it: (JSON data, parts in bytes by name); see `restore`."""
        with self._lock:
            values = {
                "counts": [self.predicted, self.failed],
                "errors_by_code": dict(self.errors_by_code),
                "one_colour": list(self._one_colour.items()),
                "kinds": sorted(self._sidecars),
            }
            beside = {f"beside {kind}": bytes(digests) for kind, digests in self._sidecars.items()}
            return values, {"records": bytes(self._records), "reused": self._reused.tobytes(), **beside}

    def restore(self, values: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        """Takes what `state` has given, in place of what is counted."""
        with self._lock:
            self.predicted, self.failed = values["counts"]
            self.errors_by_code = collections.Counter(values["errors_by_code"])
            self._one_colour = dict(values["one_colour"])
            self._records, self._reused = bytearray(parts["records"]), array.array("I", parts["reused"])
            self._sidecars = {kind: bytearray(parts[f"beside {kind}"]) for kind in values["kinds"]}

    @property
    def one_colour(self) -> int:
        """Predicted images that have a single colour."""
        with self._lock:
            return sum(self._one_colour.values())

    def one_colour_of(self, shards: range) -> int:
        """Predicted images of these shards that have a single colour."""
        with self._lock:
            return sum(self._one_colour.get(shard, 0) for shard in shards)

    @property
    def reused(self) -> int:
        """Images that were taken over from the job's base."""
        with self._lock:
            return sum(self._reused)

    def reused_of(self, shards: range) -> list[int]:
        """Images of each of these shards that were taken over."""
        with self._lock:
            return [self._reused[shard - 1] if shard <= len(self._reused) else 0 for shard in shards]

    def files(self, name_pattern: str) -> ShardFiles:
        """The shards as files, in order; the pattern makes a name of a number."""
        return ShardFiles(bytes(self._records), name_pattern)

    @property
    def sidecar_kinds(self) -> list[str]:
        """The kinds of files that there are beside the shards."""
        return sorted(self._sidecars)

    def sidecars(self, kind: str) -> Iterator[tuple[int, int, str]]:
        """Yields, in order, what is beside the shards of one kind: (shard, images with a line in it, digest)."""
        digests = self._sidecars.get(kind, bytearray())
        for shard, (predicted, _, _) in enumerate(_RECORD.iter_unpack(self._records), 1):
            digest = bytes(digests[(shard - 1) * _DIGEST_BYTES : shard * _DIGEST_BYTES])
            if any(digest):
                yield shard, predicted, digest.hex()

    def sidecars_of(self, shards: range) -> list[dict[str, str]]:
        """The digests of what is beside these shards, by kind."""
        with self._lock:
            found = {
                kind: bytes(digests[(shards.start - 1) * _DIGEST_BYTES : (shards.stop - 1) * _DIGEST_BYTES])
                for kind, digests in sorted(self._sidecars.items())
            }
        places = [slice(first * _DIGEST_BYTES, (first + 1) * _DIGEST_BYTES) for first in range(len(shards))]
        return [{kind: part[place].hex() for kind, part in found.items() if any(part[place])} for place in places]

    def failed_shards(self) -> Iterator[tuple[int, int]]:
        """Yields, in order, the shards with failed images: (number, failed images)."""
        for shard, (_, failed, _) in enumerate(_RECORD.iter_unpack(self._records), 1):
            if failed:
                yield shard, failed

    def records(self, shards: range) -> list[tuple[int, int, str]] | None:
        """Returns (predicted, failed, sha256) of some shards in a row; None unless all are counted."""
        with self._lock:
            part = bytes(self._records[(shards.start - 1) * _RECORD.size : (shards.stop - 1) * _RECORD.size])
        found = [(predicted, failed, digest.hex()) for predicted, failed, digest in _RECORD.iter_unpack(part)]
        return found if len(found) == len(shards) and all(digest != _NO_DIGEST for _, _, digest in found) else None


class ShardFiles(Sequence[OutputFile]):
    """Files made of their records as they are asked for."""

    def __init__(self, records: bytes, name_pattern: str) -> None:
        self._records = records
        self._name_pattern = name_pattern
        self._starts = array.array("Q")
        for start in range(0, len(records), _RECORD.size):
            if records[start : start + _RECORD.size] != _ABSENT:
                self._starts.append(start)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> OutputFile: ...
    @overload
    def __getitem__(self, index: slice) -> list[OutputFile]: ...
    def __getitem__(self, index: int | slice) -> OutputFile | list[OutputFile]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start = self._starts[index]
        predicted, _, digest = _RECORD.unpack_from(self._records, start)
        return OutputFile(self._name_pattern.format(start // _RECORD.size + 1), predicted, digest.hex())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none
