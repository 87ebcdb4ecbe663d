"""All inputs of one job, as its first attempt has found them."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol

from boxwright import objects
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import addresses
from boxwright.batch.inputs.addresses import InputAddress, Meaning
from boxwright.batch.inputs.frozen_names import FrozenNames
from boxwright.batch.inputs.list_pieces import ListPieces
from boxwright.batch.inputs.member_files import MemberFiles
from boxwright.batch.inputs.sources import FileSource, changed
from boxwright.batch.job import BatchSpec


class Source(Protocol):
    """Where entries come from: a file, or names that were listed."""

    left_out: collections.Counter[str]

    @property
    def total_bytes(self) -> int:
        """What `Entry.end_bytes` reaches at its end."""
        ...

    def entries(self) -> Generator[Entry, None, None]:
        """Yields the entries, in order."""
        ...


class JobInputs:
    """The inputs, in the order of the request.

    Args:
        spec: the job's.
        stores: where everything is.
        files: keeps the bytes of archives' members.
        first: the header of the plan that the first attempt has put; None if this is the first.

    Raises:
        ApiError: an input is missing, unreadable, or names nothing.
    """

    def __init__(
        self, spec: BatchSpec, stores: objects.Stores, files: MemberFiles, first: dict[str, Any] | None
    ) -> None:
        self._spec = spec
        self._stores = stores
        self._named = stores.named()
        self._files = files
        self._sources: list[tuple[str, Source]] = []
        self._meanings: list[str] = []
        self._infos: list[objects.ObjectInfo] = []
        self._open(self._addresses(first), None if first is None else first.get("meanings"))

    @property
    def total_bytes(self) -> int:
        """Of all sources."""
        return sum(source.total_bytes for _, source in self._sources)

    @property
    def header(self) -> dict[str, Any]:
        """What the plan's header keeps: the identities of all files, and what each address means."""
        return {
            "lists": [[str(info.uri), info.size_bytes, info.e_tag] for info in self._infos],
            "meanings": self._meanings,
        }

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """By address, how many names were left out of what has been read, by suffix; only where some were."""
        return {text: dict(sorted(source.left_out.items())) for text, source in self._sources if source.left_out}

    @property
    def lists(self) -> list[ListPieces]:
        """The files before the first input that is none, to be read piece by piece if they are lists."""
        files = itertools.takewhile(lambda source: isinstance(source, FileSource), self.sources())
        column = self._spec.input_column
        return [ListPieces(self._named, file.info, column) for file in files if isinstance(file, FileSource)]

    @property
    def count(self) -> int:
        """How many sources there are."""
        return len(self._sources)

    def sources(self) -> Iterator[Source]:
        """Yields the sources, in order."""
        return (source for _, source in self._sources)

    def check(self, first: dict[str, Any]) -> None:
        """Raises ABORTED if a file is not the one that the first attempt has found."""
        for (uri, *identity), (_, *identity_now) in zip(first["lists"], self.header["lists"], strict=True):
            if identity != identity_now:
                raise changed(uri)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _addresses(self, first: dict[str, Any] | None) -> list[InputAddress]:
        if first is not None and "meanings" not in first:  # of a version that took every address as a file's
            return [InputAddress(uri, objects.ObjectUri.parse(uri), Meaning.FILE) for uri in self._spec.input_uris]
        return addresses.parse_all(self._spec.input_uris, self._stores.schemes)

    def _open(self, found: Sequence[InputAddress], meanings: Sequence[str] | None) -> None:
        for number, address in enumerate(found, 1):
            if address.meaning == Meaning.FILE:
                was_folder = meanings is not None and meanings[number - 1] == Meaning.IMAGES
                info = None if was_folder else self._head(address.uri)
                if info is not None:
                    self._add_file(address.text, info)
                    self._meanings.append(Meaning.FILE)
                    continue
                address = address.as_folder()
            names = self._frozen(number, address)
            self._meanings.append(address.meaning)
            if address.meaning == Meaning.IMAGES:
                self._sources.append((address.text, names))
            else:
                for uri in names.uris():
                    self._add_file(str(uri), self._named.head(uri))

    def _frozen(self, number: int, address: InputAddress) -> FrozenNames:
        names = FrozenNames(
            self._stores,
            objects.ObjectUri.parse(self._spec.scratch),
            number,
            address,
            suffixes=self._spec.input_suffixes,
            output=objects.ObjectUri.parse(self._spec.output_directory),
        )
        names.freeze()
        return names

    def _add_file(self, text: str, info: objects.ObjectInfo) -> None:
        self._infos.append(info)
        self._sources.append((text, FileSource(self._named, info, self._spec, self._files)))

    def _head(self, uri: objects.ObjectUri) -> objects.ObjectInfo | None:
        """The file; None if there is a folder of that name."""
        try:
            return self._named.head(uri)
        except objects.ObjectNotFound as error:
            if self._named.holds_anything(uri):
                return None
            raise objects.explained(self._named, uri, error) from error
