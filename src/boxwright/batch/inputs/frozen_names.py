"""Names that were listed, frozen page by page: every later attempt works by the names that the first one has found.

A page is put once, as an object of the plan: the names in the order of their keys, what was left out, and how far the
listing had come. An attempt that finds pages goes on behind the last of them.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
from collections.abc import Collection, Generator, Iterator
from typing import Any

from boxwright import errors, faults, objects
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import image_names
from boxwright.batch.inputs.addresses import InputAddress, Meaning
from boxwright.batch.inputs.image_names import ImageNames

PAGE_KEYS = 5000  # keys that are looked at for one page
MANIFEST = "manifest.json"  # makes a folder one of results
RESULTS = "prediction-"  # and so their folders begin
RESULT_FOLDERS = "in folders of results"
_SUFFIX_ADVICE = (
    "params.input_suffixes names other suffixes of images; archives and lists are named by their own names, as in "
    "{}*.tar."
)


class FrozenNames:
    """The names that one address of a batch stands for.

    Args:
        stores: where the plan is; the names are listed with what the caller may.
        scratch: the job's scratch.
        number: of the address among those of the job, from 1.
        address: a folder, or a pattern.
        suffixes: of images, see `ImageNames`.
        output: the job's own output folder, which is left out; None if it has none.
        advice: what may be done where nothing but what is left out is below a folder, a sentence.

    Attributes:
        pages: how many there are.
        count: how many names there are.
        total_bytes: of the pages.
        left_out: see `ImageNames`.
    """

    def __init__(
        self,
        stores: objects.Stores,
        scratch: objects.ObjectUri,
        number: int,
        address: InputAddress,
        *,
        suffixes: Collection[str],
        output: objects.ObjectUri | None,
        advice: str = "",
    ) -> None:
        self._stores = stores
        self._named = stores.named()
        self._scratch = scratch
        self._number = number
        self._address = address
        self._folder = address.uri.folder
        self._suffixes = suffixes
        self._output = output
        self._advice = advice or _SUFFIX_ADVICE.format(self._folder)
        self._known_results: tuple[str, bool] = ("", False)
        self.pages = 0
        self.count = 0
        self.total_bytes = 0
        self.left_out: collections.Counter[str] = collections.Counter()

    def freeze(self) -> None:
        """Lists the names, or what an earlier attempt has not listed of them.

        Raises:
            ApiError: from the store; NOT_FOUND if there are none.
        """
        page = None
        while (found := self._stored(self.pages + 1)) is not None:
            page = self._counted(found)
        if page is None or page["behind"] is not None:
            for following in self._listed("" if page is None else page["behind"]):
                self._put(following)
        if not self.count:
            raise self._nothing()

    def entries(self) -> Generator[Entry, None, None]:
        """Yields an entry for each name, in order."""
        end_bytes = 0
        for number in range(1, self.pages + 1):
            found, page_bytes = self._read(number, end_bytes)
            yield from found
            end_bytes += page_bytes

    def page(self, number: int) -> list[Entry]:
        """The entries of one page, from 1 to `pages`, in order."""
        return self._read(number, 0)[0]

    def uris(self) -> Iterator[objects.ObjectUri]:
        """Yields the addresses, in order."""
        return (objects.ObjectUri.parse(entry.text) for entry in self.entries())

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _read(self, number: int, start_bytes: int) -> tuple[list[Entry], int]:
        """Returns (the entries of a page, its size in bytes); `start_bytes` is the size of the pages before it."""
        content = self._stores.get(self._page_uri(number))
        names = json.loads(content)["names"]
        ends = (start_bytes + len(content) * index // len(names) for index in range(1, len(names) + 1))
        return [_entry(self._folder, name, end) for name, end in zip(names, ends, strict=True)], len(content)

    def _listed(self, behind: str) -> Iterator[dict[str, Any]]:
        """Yields pages behind a key; the last one is behind none."""
        keys = itertools.chain.from_iterable(self._named.keys(self._folder, behind, self._address.bounds))
        while part := list(itertools.islice(keys, PAGE_KEYS)):
            images = ImageNames((image_names.ANY,) if self._address.meaning == Meaning.FILES else self._suffixes)
            names = [key[len(self._folder.key) :] for key in part if self._takes(key, images)]
            yield {"names": names, "left_out": dict(images.left_out), "behind": part[-1]}
        yield {"names": [], "left_out": {}, "behind": None}

    def _takes(self, key: str, images: ImageNames) -> bool:
        if self._address.pattern is not None and not self._address.pattern.fullmatch(key):
            return False
        if RESULTS in key and self._is_result(key):
            images.left_out[RESULT_FOLDERS] += 1
            return False
        return images.takes(key[len(self._folder.key) :])

    def _is_result(self, key: str) -> bool:
        """Whether a key is in a folder of results below the listed one: that of this job, or one with a manifest."""
        start = len(self._folder.key)
        while (start := key.find(RESULTS, start)) >= 0:
            end = key.find("/", start)
            if end < 0:
                return False
            if (start == 0 or key[start - 1] == "/") and self._holds_results(key[:end]):
                return True
            start = end
        return False

    def _holds_results(self, folder: str) -> bool:
        if self._known_results[0] != folder:
            uri = dataclasses.replace(self._folder, key=folder)
            is_own = str(uri) == str(self._output)
            self._known_results = folder, is_own or self._named.exists(uri.child(MANIFEST))
        return self._known_results[1]

    def _put(self, page: dict[str, Any]) -> None:
        number = self.pages + 1
        content = json.dumps(page, ensure_ascii=True).encode()  # names of files may be no text
        faults.point("plan.before_page")
        if not self._stores.put_once(self._page_uri(number), content) and self._stored(number) != content:
            raise errors.aborted(
                f"{self._address.text} was listed by another attempt of this job, with another result."
            )
        self._counted(content)
        faults.point("plan.after_page")

    def _counted(self, content: bytes) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(content)
        self.pages += 1
        self.count += len(page["names"])
        self.total_bytes += len(content)
        self.left_out.update(page["left_out"])
        return page

    def _stored(self, number: int) -> bytes | None:
        try:
            return self._stores.get(self._page_uri(number))
        except objects.ObjectNotFound:
            return None

    def _page_uri(self, number: int) -> objects.ObjectUri:
        return self._scratch.child(f"plan/names-{self._number:05d}-{number:07d}.json")

    def _nothing(self) -> errors.ApiError:
        text, left_out = self._address.text, image_names.in_words(self.left_out)
        what = "file" if self._address.meaning == Meaning.FILES else "image"
        if not left_out:
            return errors.not_found(
                f"{text}: there is no {what} of that name; look for it in the bucket, and mind * and **."
            )
        return errors.not_found(f"{text}: there is no {what}, only what is left out ({left_out}). {self._advice}")


def _entry(folder: objects.ObjectUri, name: str, end_bytes: int) -> Entry:
    text = f"{folder.scheme}://{folder.bucket}/{folder.key}{name}"
    shown = text.encode("utf-8", "replace").decode()
    failure = None if shown == text else "its name is no UTF-8 text; rename the file"
    return Entry(shown, shown, end_bytes, failure=failure, is_name=True)
