"""Members of archives that a list names by their IDs, ``gs://b/x.tar#dir/a.jpg``: failed images again, for instance.

The archive is read forward from row to row, so rows in its order cost one pass. A few more passes are made for others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from boxwright import objects
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import archive_members
from boxwright.batch.inputs.archive_members import OpenMember
from boxwright.batch.inputs.member_files import MemberFiles

MAX_PASSES = 20  # over one archive, as long as rows name members of it
_ID = re.compile(r"(.+?\.(?:tar|tgz|tar\.gz))#(.+)", re.IGNORECASE | re.DOTALL)


class ListedMembers:
    """Finds the members that the rows of one list name.

    Args:
        stores: where the archives are.
        files: keeps the members' bytes.
    """

    def __init__(self, stores: objects.Stores, files: MemberFiles) -> None:
        self._stores = stores
        self._files = files
        self._archive = ""
        self._info: objects.ObjectInfo | None = None  # None: there is no such archive
        self._members: Iterator[OpenMember] = iter(())
        self._passes = 0

    def resolved(self, entry: Entry) -> Entry:
        """The entry; one that names a member has its bytes at hand, or says why there are none.

        Raises:
            ApiError: from the store; INVALID_ARGUMENT if the archive is damaged.
        """
        found = _ID.fullmatch(entry.text) if entry.failure is None else None
        if found is None:
            return entry
        archive, name = found.groups()
        if archive != self._archive:
            self._open(archive)
        if self._info is None:  # an object may be called like that, too
            return entry
        for is_again in (False, True):
            if is_again:
                if self._passes == MAX_PASSES:
                    break
                self._begin(self._info)
            for member in self._members:
                if member.name == name:
                    return self._kept(entry, member)
        why = (
            f"{archive} has no member of that name, or has it before those of earlier rows; list members in their order"
        )
        return dataclasses.replace(entry, failure=why)

    def is_member(self, entry: Entry) -> bool:
        """Whether an entry names a member of an archive that is there; raises ApiError from the store."""
        found = _ID.fullmatch(entry.text) if entry.failure is None else None
        if found is not None and found.group(1) != self._archive:
            self._open(found.group(1))
        return found is not None and self._info is not None

    def _open(self, archive: str) -> None:
        self._archive, self._members, self._passes = archive, iter(()), 0
        try:
            self._info = self._stores.head(objects.ObjectUri.parse(archive))
        except (objects.ObjectNotFound, objects.BadUri):
            self._info = None

    def _begin(self, info: objects.ObjectInfo) -> None:
        self._passes += 1
        self._members = archive_members.opened(self._stores, info)

    def _kept(self, entry: Entry, member: OpenMember) -> Entry:
        failure = member.failure
        if failure is not None:
            return dataclasses.replace(entry, failure=failure)
        self._files.wait_for_room()
        held = self._files.write(entry.text, member.size_bytes, member.content())
        return dataclasses.replace(entry, is_name=True, held=held)
