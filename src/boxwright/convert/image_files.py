"""Which file an annotation means: as it is written there, or else the only one whose name is alike.

Names on disk and names in annotations drift apart: archives change the Unicode form, labelling tools encode spaces and
accents, shops rename `.JPG`, exports move files into one folder. A file that is found in such a way is used and told.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import sqlite3
import unicodedata
import urllib.parse
from collections.abc import Iterator, Sequence

from boxwright.convert import entries, folders
from boxwright.images import decode

RENAMED = "image whose file is named otherwise ({how}): the file's name is used"
_SMALL_FOLDER, _SMALL_FOLDERS = 1000, 100
_SCHEMA = """
    CREATE TABLE folders (folder TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE entries (folder TEXT, name TEXT, folded TEXT, stem TEXT, is_folder INTEGER);
    CREATE INDEX by_name ON entries (folder, folded);
    CREATE INDEX by_stem ON entries (folder, stem);
"""
_FORMS = (  # how two names can be alike, the closest first
    ("another Unicode form", lambda name: unicodedata.normalize("NFC", name)),
    ("percent-encoding", lambda name: unicodedata.normalize("NFC", urllib.parse.unquote(name))),
    ("letter case", lambda name: fold(name)),
)


@dataclasses.dataclass(frozen=True)
class Located:
    """The file of an image.

    Attributes:
        file: where it lies.
        name: its path below the folder of images, as the disk spells it.
        how: in what its name differs from the annotation's; empty if in nothing.
    """

    file: pathlib.Path
    name: str
    how: str = ""


class Finder:
    """Finds the files of images.

    Args:
        roots: folders in which relative paths begin, best first.
        distant: more such folders, in which only files of exactly that name count.
    """

    def __init__(self, roots: Sequence[pathlib.Path], distant: Sequence[pathlib.Path] = ()) -> None:
        self._near = [root for root in dict.fromkeys(roots) if folders.is_folder(root)]
        self._distant = [root for root in dict.fromkeys(distant) if folders.is_folder(root) and root not in self._near]
        self._of_exact: set[pathlib.Path] = set()  # roots that held a file of exactly the name that was asked for
        self._listings = Listings()
        self._is_folder = functools.lru_cache(maxsize=4096)(os.path.isdir)
        self._that_are_there = functools.lru_cache(maxsize=1024)(
            self._find_folders
        )  # asked for every image of a folder

    def _find_folders(
        self, parts: tuple[str, ...], roots: tuple[pathlib.Path, ...]
    ) -> tuple[tuple[pathlib.Path, str], ...]:
        """(root, folder) of each root below which there is such a folder."""
        named = ((root, os.path.join(root, *parts)) for root in roots)  # noqa: PTH118, a path object takes ten times as long
        return tuple((root, folder) for root, folder in named if self._is_folder(folder))

    def close(self) -> None:
        """Frees what is remembered about folders."""
        self._listings.close()

    def add_root(self, root: pathlib.Path) -> None:
        """One more folder in which relative paths begin, after the others."""
        if folders.is_folder(root) and root not in self._near:
            self._near.append(root)

    def find(self, path: str) -> pathlib.Path | None:
        """The file of an image."""
        located = self.locate(path)
        return None if located is None else located.file

    def locate(self, path: str, *, moved: bool = True, first: Sequence[pathlib.Path] = ()) -> Located | None:
        """The file of an image: of exactly that name, or else the only one whose name is alike.

        Args:
            path: relative, absolute or a URI; of a URI, the longest end that exists below a root counts.
            moved: also look for the last parts of the path alone, as if folders had been merged.
            first: folders that come before the roots.
        """
        parts = [part for part in path.split("://", 1)[-1].split("/") if part not in ("", ".")]
        if path.startswith("/") and folders.is_file(pathlib.Path(path)):
            return Located(pathlib.Path(path), path)
        is_uri = entries.is_uri(path)
        ends = [parts[start:] for start in range(len(parts))]
        as_written = ends if is_uri else ends[:1]
        return (
            self._exact(as_written, [*first, *self._near, *self._distant])
            or self._alike(as_written)
            or (None if is_uri or not moved else self._moved(ends[1:]))
        )

    def _exact(self, ends: Sequence[Sequence[str]], roots: Sequence[pathlib.Path]) -> Located | None:
        given = tuple(roots)
        for end in ends:
            for root, folder in self._that_are_there(tuple(end[:-1]), given):
                if _is_file(f"{folder}/{end[-1]}"):
                    self._of_exact.add(root)
                    return Located(root.joinpath(*end), "/".join(end))
        return None

    def _alike(self, ends: Sequence[Sequence[str]]) -> Located | None:
        for end in ends:
            for root in self._near:
                found = self._listings.alike(root, end)
                if found is not None:
                    return Located(root.joinpath(*found[0]), "/".join(found[0]), found[1])
        return None

    def _moved(self, ends: Sequence[Sequence[str]]) -> Located | None:
        for end in ends:
            for root in self._near:
                name = os.path.join(root, *end)  # noqa: PTH118
                if not (self._is_folder(os.path.dirname(name)) and _is_file(name)):  # noqa: PTH120
                    found = self._listings.alike(root, end)
                    if found is None:
                        continue
                    name = os.path.join(root, *found[0])  # noqa: PTH118
                file = pathlib.Path(name)
                return Located(file, self._name(file), "another folder")
        return None

    def _name(self, file: pathlib.Path) -> str:
        """The path below the root that other names begin in, or else below the outermost."""
        holders = [root for root in self._near if file.is_relative_to(root)]
        known = [root for root in holders if root in self._of_exact]
        best = max(known, key=lambda root: len(root.parts)) if known else min(holders, key=lambda root: len(root.parts))
        return file.relative_to(best).as_posix()


class Listings:
    """Names of folders' entries by what they have in common, in a temporary database: a folder may hold millions."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None
        self._small: dict[str, frozenset[str]] = {}  # names in the first small folders: most images are not there

    def close(self) -> None:
        """Removes the database."""
        if self._database is not None:
            self._database.close()

    def alike(
        self, root: pathlib.Path, parts: Sequence[str], *, suffixes: frozenset[str] = folders.IMAGE_SUFFIXES
    ) -> tuple[list[str], str] | None:
        """(parts as the disk spells them, in what they differ) of the only such file, which ends in one of the suffixes."""
        found: list[str] = []
        differences: list[str] = []
        for index, part in enumerate(parts):
            is_last = index == len(parts) - 1
            match = self._entry(os.path.join(root, *found), part, suffixes if is_last else None)  # noqa: PTH118
            if match is None:
                return None
            found.append(match[0])
            if match[1]:
                differences.append(match[1])
        return found, ", ".join(dict.fromkeys(differences))

    def _entry(self, folder: str, name: str, suffixes: frozenset[str] | None) -> tuple[str, str] | None:
        """(name, difference) of the entry that is meant: a folder if no suffixes are given."""
        if (alike := self._small.get(folder)) is not None and not self._may_be(name, alike, suffixes):
            return None
        database = self._listed(folder)
        statement = "SELECT name FROM entries WHERE folder = ? AND is_folder = ? AND {} = ?"
        same = (folder, int(suffixes is None), fold(name))
        names = [found for (found,) in database.execute(statement.format("folded"), same)]
        if name in names:
            return name, ""
        for difference, form in _FORMS:
            close = [found for found in names if form(found) == form(name)]
            if close:
                return (close[0], difference) if len(close) == 1 else None
        if suffixes is None:
            return None
        known = pathlib.PurePosixPath(name)
        stem = fold(known.stem if known.suffix.lower() in suffixes else name)
        names = [found for (found,) in database.execute(statement.format("stem"), (folder, 0, stem))]
        names = [found for found in names if pathlib.PurePosixPath(found).suffix.lower() in suffixes]
        return (names[0], "another extension") if len(names) == 1 else None

    def _may_be(self, name: str, alike: frozenset[str], suffixes: frozenset[str] | None) -> bool:
        """Whether a folder with such names, or names without their extension, may have the entry."""
        return fold(name) in alike or (suffixes is not None and fold(os.path.splitext(name)[0]) in alike)  # noqa: PTH122

    def _listed(self, folder: str) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)  # in a file of its own that goes with it
            self._database.executescript(_SCHEMA)
        if self._database.execute("INSERT OR IGNORE INTO folders VALUES (?)", (folder,)).rowcount:
            self._database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", _entries(folder))
            statement = "SELECT folded, stem FROM entries WHERE folder = ? LIMIT ?"
            found = self._database.execute(statement, (folder, _SMALL_FOLDER + 1)).fetchall()
            if len(found) <= _SMALL_FOLDER and len(self._small) < _SMALL_FOLDERS:
                self._small[folder] = frozenset(name for names in found for name in names)
        return self._database


def fold(name: str) -> str:
    """What all spellings of a name have in common: letter case, Unicode form and percent-encoding set aside."""
    if name.isascii() and "%" not in name:
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", urllib.parse.unquote(name)).casefold())


def header(file: pathlib.Path) -> tuple[tuple[int, int], int]:
    """((height, width) in pixels as displayed, EXIF orientation) of an image file.

    Raises:
        DecodeError: the file is no usable image.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise decode.DecodeError(f"The file cannot be read: {error.strerror}.") from error
    return decode.upright_size(data), decode.exif_orientation(data)


def _entries(folder: str) -> Iterator[tuple[str, str, str, str, int]]:
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not folders.is_passed_over(entry.name) and _is_text(entry.name):
                    stem = pathlib.PurePosixPath(entry.name).stem
                    yield folder, entry.name, fold(entry.name), fold(stem), int(entry.is_dir())
    except OSError:
        return  # no folder, or one that nobody may read: nothing is found there


def _is_file(name: str) -> bool:
    """As `folders.is_file`, of a path that is text."""
    try:
        return os.path.isfile(name)  # noqa: PTH113
    except (OSError, ValueError):
        return False


def _is_text(name: str) -> bool:
    """Whether a name is Unicode; Python hands other bytes on as lone surrogates, which no database takes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
