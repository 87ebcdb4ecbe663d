"""Versions of objects: a read, a look and a list of every store say the same."""

from __future__ import annotations

from tests.contract import test_stores

from boxwright import objects
from boxwright.batch.reuse.versions import Versions

kinds, place = test_stores.kinds, test_stores.place  # fixtures


def test_a_read_a_look_and_a_list_name_the_same_version_until_the_object_changes(place):
    uris = [place.put(f"versions/{number:02d}.jpg", b"some bytes %d" % number) for number in range(30)]
    looker = Versions(place.stores)
    try:
        found = looker.of([*map(str, uris), str(place.root.child("versions/none.jpg"))])
        assert list(map(str, uris)) == sorted(found)
        content, version = place.stores.get_with_version(uris[3])
        assert found[str(uris[3])] == place.stores.version(uris[3]) == objects.ObjectVersion(len(content), version)
        assert version
        assert (looker.lists, looker.looks) == ((0, 31) if place.is_local else (looker.lists, 1))
        place.put("versions/03.jpg", b"other byte 3")
        assert looker.of([str(uris[3])]) != {str(uris[3]): found[str(uris[3])]}
    finally:
        looker.close()
