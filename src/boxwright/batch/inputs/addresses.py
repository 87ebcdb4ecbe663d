"""What the addresses of a batch's inputs mean: a file, a folder of images, or a pattern of names.

gs://b/list.csv              a file: a list or an archive, by its content
gs://b/dir/                  the images below a folder
gs://b/2026-*/*.jpg          images whose keys match; ``*`` stands for characters other than a slash, ``**`` for any
gs://b/lists/part-*.csv      files whose keys match: the pattern ends like the name of a list or an archive
gs://b/shard-{000..099}.tar  a hundred addresses; ``{a,b}`` two
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from boxwright import errors, objects
from boxwright.batch.inputs.pattern_bounds import PatternBounds, PatternPart

MAX_ADDRESSES = 10_000  # after braces
MAX_DEEP_WILDCARDS = 3
LIST_SUFFIXES = (".csv", ".txt", ".json", ".jsonl", ".ndjson", ".manifest", ".parquet", ".pq", ".tar", ".tgz")
_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
_WILD = re.compile(r"\*\*/|\*\*|\*")


class Meaning(enum.StrEnum):
    """What an address names."""

    FILE = "file"  # or a folder whose slash was left out
    IMAGES = "images"
    FILES = "files"


@dataclasses.dataclass(frozen=True)
class InputAddress:
    """One address of a request, after its braces.

    Attributes:
        text: as it is written.
        uri: the file, or the folder in which names are listed.
        meaning: what is named.
        pattern: what the whole keys must match; None: all below the folder.
        bounds: where the next key that may match is; None: all below the folder.
    """

    text: str
    uri: objects.ObjectUri
    meaning: Meaning
    pattern: re.Pattern[str] | None = None
    bounds: PatternBounds | None = dataclasses.field(default=None, compare=False)

    def as_folder(self) -> InputAddress:
        """The same as a folder of images."""
        return dataclasses.replace(self, uri=self.uri.folder, meaning=Meaning.IMAGES)


def parse(text: str, schemes: Collection[str]) -> list[InputAddress]:
    """What one address of a request names.

    Args:
        text: the address.
        schemes: what this installation serves.

    Raises:
        ApiError: INVALID_ARGUMENT saying what is wrong with the text.
    """
    return [_parsed(address, schemes) for address in _without_braces(text)]


def parse_all(texts: Iterable[str], schemes: Collection[str]) -> list[InputAddress]:
    """What several name, in their order."""
    found = [address for text in texts for address in parse(text, schemes)]
    if len(found) > MAX_ADDRESSES:
        raise errors.bad_request(f"There are {len(found)} addresses of inputs; the limit is {MAX_ADDRESSES}.")
    return found


def uris(texts: Iterable[str], schemes: Collection[str]) -> list[objects.ObjectUri]:
    """The files and folders that are read and listed: what a caller's grants are judged by."""
    return [address.uri for address in parse_all(texts, schemes)]


def _parsed(text: str, schemes: Collection[str]) -> InputAddress:
    uri = objects.caller_uri(text, schemes, directory=True)
    if "*" not in uri.key:
        return InputAddress(text, uri, Meaning.FILE if uri.names_object else Meaning.IMAGES)
    literal, _, _ = uri.key.partition("*")
    folder = dataclasses.replace(uri, key=literal[: literal.rfind("/") + 1])
    pattern = f"{uri.key}**" if uri.key.endswith("/") else uri.key
    ending = pattern.lower().removesuffix(".gz")
    meaning = Meaning.FILES if ending.endswith(LIST_SUFFIXES) else Meaning.IMAGES
    return InputAddress(text, folder, meaning, _compiled(text, pattern), PatternBounds(list(_parts(text, pattern))))


def _parts(text: str, pattern: str) -> Iterator[PatternPart]:
    """Yields the parts of a pattern between slashes, up to the first that has ``**``."""
    for part in pattern.split("/"):
        head, star, _ = part.partition("*")
        is_deep = "**" in part
        yield PatternPart(head, _compiled(text, part) if star else None, is_deep)
        if is_deep:
            return


def _compiled(text: str, pattern: str) -> re.Pattern[str]:
    """The regular expression; matching takes at most the square of a key's length, whoever has written the pattern."""
    wilds = list(_WILD.finditer(pattern))
    if sum(found[0] != "*" for found in wilds) > MAX_DEEP_WILDCARDS:
        raise objects.bad_uri(text, f"it has more than {MAX_DEEP_WILDCARDS} times **")
    parts = [re.escape(pattern[: wilds[0].start()])]
    for number, found in enumerate(wilds):
        is_last = number == len(wilds) - 1
        literal = re.escape(pattern[found.end() : len(pattern) if is_last else wilds[number + 1].start()])
        is_whole = found.start() == 0 or pattern[found.start() - 1] == "/"
        match found[0]:
            case "*" if is_last:
                parts.append(f"[^/]*{literal}")
            case "*":  # the first place of the literal is as good as any, so that nothing is tried twice
                parts.append(f"(?>[^/]*?{literal})")
            case "**/" if is_whole:
                parts.append(f"(?:.*/)?{literal}")
            case "**/":
                parts.append(f".*/{literal}")
            case _:
                parts.append(f".*{literal}")
    return re.compile("".join(parts), re.DOTALL)


def _without_braces(text: str) -> Iterator[str]:
    """Yields the texts that a text with braces stands for; braces that are neither a range nor a choice stay."""
    choices: list[Sequence[str]] = []
    end, count = 0, 1
    for found in _BRACES.finditer(text):
        choices += [(text[end : found.start()],), _choices(text, found)]
        count *= len(choices[-1])
        end = found.end()
    if count > MAX_ADDRESSES:
        raise objects.bad_uri(text, f"its braces stand for more than {MAX_ADDRESSES} addresses")
    choices.append((text[end:],))
    yield from ("".join(parts) for parts in itertools.product(*choices))


def _choices(text: str, found: re.Match[str]) -> Sequence[str]:
    first, last, words = found.groups()
    if words is not None:
        return words.split(",")
    start, stop = int(first), int(last)
    if start > stop or stop - start >= MAX_ADDRESSES:
        raise objects.bad_uri(text, f"{found[0]} is no range of at most {MAX_ADDRESSES} numbers, the smaller one first")
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [f"{number:0{width}d}" for number in range(start, stop + 1)]
