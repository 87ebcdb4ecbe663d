"""Buckets that work uses: each is told once, and not without end."""

from __future__ import annotations

import pathlib

import pytest

from boxwright import errors, objects
from boxwright.objects.bucket_uses import MAX_USES, BucketUse, BucketUses
from boxwright.objects.grants import LIST, READ, WRITE


def test_stores_tell_of_each_bucket_once_and_of_what_is_refused(tmp_path: pathlib.Path) -> None:
    for bucket in ("a", "b"):
        (tmp_path / "buckets" / bucket).mkdir(parents=True)
    told: list[BucketUse] = []
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state").observed(BucketUses(told.append).note)
    grants = objects.Grants("me", (objects.Grant("gs", "a", "", can_read=True, can_write=True),))
    limited = stores.limited_to(grants).named()
    for _ in range(3):
        limited.put(objects.ObjectUri.parse("gs://a/x"), b"x")
        assert limited.get(objects.ObjectUri.parse("gs://a/x")) == b"x"
        assert list(limited.list(objects.ObjectUri.parse("gs://a/")))
        with pytest.raises(errors.ApiError):
            limited.get(objects.ObjectUri.parse("gs://b/x"))
        stores.put(stores.state("operations/1/plan"), b"")
        limited.note_readable(objects.ObjectUri.parse("gs://a/y"))
        limited.note_readable(objects.ObjectUri.parse("gs://c/y"))
    assert told == [
        BucketUse("gs://a/", WRITE, True),
        BucketUse("gs://a/", READ, True),
        BucketUse("gs://a/", LIST, True),
        BucketUse("gs://b/", READ, False),
        BucketUse("gs://c/", READ, False),
    ]


def test_a_list_with_a_bucket_in_every_row_fills_no_log() -> None:
    told: list[BucketUse] = []
    uses = BucketUses(told.append)
    for number in range(10 * MAX_USES):
        uses.note(objects.ObjectUri("gs", f"bucket-{number}", "x"), READ, True)
    assert len(told) == MAX_USES
