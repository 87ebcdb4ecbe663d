"""Which names below a folder or in an archive are images, and how many of which suffix are left out."""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".ico", ".webp", ".tif", ".tiff")
ANY = "*"  # among wanted suffixes: every name
HIDDEN, LINKS, WITHOUT, OTHERS = "hidden names", "links to folders", "names without a suffix", "other suffixes"
MAX_KINDS = 40  # of suffixes that are counted apart
MAX_SUFFIX_CHARS = 16
_FOREIGN = ("__MACOSX/",)  # in archives of one system: no images, though they are called like them


class ImageNames:
    """Chooses among names, and counts those that are left out.

    Args:
        wanted: suffixes in small letters with their full stops, or `ANY`; empty for those of the supported formats.

    Attributes:
        left_out: how many names were left out, by suffix or one of the words above.
    """

    def __init__(self, wanted: Collection[str] = ()) -> None:
        self._wanted = frozenset(wanted or SUFFIXES)
        self._takes_any = ANY in self._wanted
        self.left_out: collections.Counter[str] = collections.Counter()

    def takes(self, name: str) -> bool:
        """Whether a name, relative to its folder or archive, is that of an image; else it is counted."""
        if name.endswith("/"):
            self.left_out[LINKS] += 1
            return False
        if name.startswith((".", *_FOREIGN)) or "/." in name:
            self.left_out[HIDDEN] += 1
            return False
        base = name[name.rfind("/") + 1 :]
        dot = base.rfind(".")
        suffix = base[dot:].lower() if dot > 0 else ""
        if self._takes_any or suffix in self._wanted:
            return True
        self._leave_out(suffix)
        return False

    def _leave_out(self, suffix: str) -> None:
        kind = suffix or WITHOUT
        is_odd = len(suffix) > MAX_SUFFIX_CHARS or bool(suffix and not suffix[1:].isalnum())
        is_one_too_many = kind not in self.left_out and len(self.left_out) >= MAX_KINDS
        self.left_out[OTHERS if is_odd or is_one_too_many else kind] += 1


def in_words(left_out: Mapping[str, int]) -> str:
    """What was left out, the most frequent first: ``3 .txt, 1 hidden names``; empty for nothing."""
    ordered = sorted(left_out.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered)
