"""Archives as inputs: members in files of this machine within bounds, unsafe names refused, cuts and changes noticed."""

from __future__ import annotations

import io
import os
import pathlib
import tarfile
import threading

import pytest
from google.rpc import code_pb2, status_pb2
from tests.support.predictions.batch_inputs import items, planned, tar
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors
from boxwright.batch.entry import HeldBytes
from boxwright.batch.inputs import archive_members, member_files
from boxwright.batch.output.json_lines import error_line
from boxwright.batch.plan import Plan


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


UNSAFE = {
    "/etc/a.jpg": "leads out of the archive",
    "../a.jpg": "leads out of the archive",
    "a/../../b.jpg": "leads out of the archive",
    "a//b.jpg": "empty parts",
    "a\nb.jpg": "control characters",
    "x" * 2100 + ".jpg": "characters; the limit is 2000",
}


def test_unsafe_names_links_and_large_members_are_failed_images(bench, monkeypatch):
    monkeypatch.setattr(archive_members.decode, "MAX_IMAGE_BYTES", 100)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in [*UNSAFE, "good.jpg", "large.jpg", "link.jpg"]:
            info = tarfile.TarInfo(name)
            info.size = 101 if name == "large.jpg" else 3
            if name == "link.jpg":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    (bench.bucket / "x.tar").write_bytes(target.getvalue())
    found = items(bench, "gs://b/x.tar", row_failure_limit=1.0)
    assert len(found) == len(UNSAFE) + 3
    expected = [*UNSAFE.values(), None, "it has 101 bytes; the limit is 100", "a symbolic link"]
    for item, said in zip(found, expected, strict=True):
        assert said in item.failure if said else item.failure is None
    assert [item.id for item in found if item.held] == ["gs://b/x.tar#good.jpg"]
    assert found[5].id == "gs://b/x.tar, member 6"
    assert all(item.failure.startswith("gs://b/x.tar, member ") for item in found if item.failure)


def test_what_a_dataset_of_samples_has_beside_its_images_is_left_out_and_told(bench):
    names = ["0001.jpg", "0001.json", "0001.cls", "0002.jpg", "0002.json", "._0002.jpg", "__MACOSX/0002.jpg"]
    (bench.bucket / "shard-000.tar").write_bytes(tar(dict.fromkeys(names, b"x")))
    (bench.bucket / "shard-001.tar").write_bytes(tar({"0003.jpg": b"x"}))
    plan, segments = planned(bench, "gs://b/shard-{000..001}.tar")
    found = [item.id for segment in segments for item in segment.items]
    assert found == [f"gs://b/shard-000.tar#000{n}.jpg" for n in (1, 2)] + ["gs://b/shard-001.tar#0003.jpg"]
    assert plan.left_out == {"gs://b/shard-000.tar": {".cls": 1, ".json": 2, "hidden names": 2}}


@pytest.mark.parametrize("packing", ["", "gz"])
@pytest.mark.parametrize("keep", [700, -11_000])
def test_an_archive_that_is_cut_off_fails_the_job_by_its_name(bench, packing, keep):
    files = {f"{number}.jpg": os.urandom(3000) for number in range(40)}
    (bench.bucket / "x.tar").write_bytes(tar(files, packing)[:keep])
    with pytest.raises(
        errors.ApiError, match=r"gs://b/x\.tar cannot be (read as a tar archive|unpacked as gzip)"
    ) as raised:
        planned(bench, "gs://b/x.tar")
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def test_an_archive_of_nothing_is_an_empty_list(bench):
    (bench.bucket / "x.tar").write_bytes(tar({}))
    with pytest.raises(errors.ApiError, match="empty input CSV file"):
        planned(bench, "gs://b/x.tar")


def test_two_members_of_one_name_are_one_image_the_first(bench):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for content in (b"first", b"second"):
            info = tarfile.TarInfo("a.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (bench.bucket / "x.tar").write_bytes(target.getvalue())
    plan, (segment,) = planned(bench, "gs://b/x.tar")
    (item,) = segment.items
    assert member_files.read(item.held) == b"first"
    assert (plan.duplicates, plan._files.held_bytes) == (1, 5)


def test_no_more_members_wait_on_disk_than_there_may_and_large_ones_make_small_segments(bench, monkeypatch):
    monkeypatch.setattr(member_files, "MAX_HELD_BYTES", 40_000)
    monkeypatch.setattr("boxwright.batch.plan.SEGMENT_BYTES", 10_000)
    files = {f"{number:03d}.jpg": bytes([number]) * 1000 for number in range(200)}
    (bench.bucket / "x.tar").write_bytes(tar(files))
    plan = Plan(bench.spec(lists=["gs://b/x.tar"], shard_images=50), bench.stores)
    found, most = [], 0
    for segment in plan.segments():
        most = max(most, plan._files.held_bytes)
        assert len(segment.items) == 10
        found += [member_files.read(item.held) for item in segment.items]
        segment.release()
    assert found == list(files.values())
    assert most <= 41_000
    assert plan._files.held_bytes == 0


def test_a_reader_that_waits_for_room_ends_when_the_plan_is_closed(bench, monkeypatch):
    monkeypatch.setattr(member_files, "MAX_HELD_BYTES", 4000)
    monkeypatch.setattr("boxwright.batch.plan.SEGMENT_BYTES", 1000)
    (bench.bucket / "x.tar").write_bytes(tar({f"{number}.jpg": bytes(1000) for number in range(50)}))
    plan = Plan(bench.spec(lists=["gs://b/x.tar"]), bench.stores)
    segments = plan.segments()
    next(segments)
    (reader,) = [thread for thread in threading.enumerate() if thread.name == "archive"]
    plan.close()
    segments.close()
    reader.join(timeout=60)
    assert not reader.is_alive()


def test_what_a_killed_attempt_has_left_is_found_by_its_image_and_removed_by_the_next(bench, tmp_path):
    (bench.bucket / "x.tar").write_bytes(tar({"a.jpg": b"first", "b.jpg": b"second"}))
    notes = str(tmp_path / "notes")
    killed = Plan(bench.spec(lists=["gs://b/x.tar"]), bench.stores, notes)
    list(killed.segments())
    file = member_files.left_by(notes, "gs://b/x.tar#b.jpg")
    assert member_files.read(file) == b"second"
    assert member_files.left_by(notes, "gs://b/x.tar#c.jpg") is None
    assert member_files.left_by("", "gs://b/x.tar#b.jpg") is None
    again = Plan(bench.spec(lists=["gs://b/x.tar"]), bench.stores, notes)
    list(again.segments())
    (folder,) = (tmp_path / "notes" / member_files.FOLDER).iterdir()
    assert member_files.left_by(notes, "gs://b/x.tar#b.jpg").path == str(folder / "0000001")
    again.close()
    assert not folder.exists()


def test_members_of_finished_shards_are_not_kept_and_the_plan_is_the_same(bench):
    files = {f"{number:02d}.jpg": bytes([number]) * 10 for number in range(35)}
    (bench.bucket / "x.tar").write_bytes(tar(files))
    bench.write_list([f"gs://b/x.tar#{number:02d}.jpg" for number in (0, 1)] + ["gs://b/a.jpg"])
    lists = ["gs://b/list.csv", "gs://b/x.tar"]
    _, segments = planned(bench, *lists)
    again = Plan(bench.spec(lists=lists), bench.stores, finished=lambda: [1, 2, 4, 5])
    assert list(again.segments()) == segments
    kept = [item.id for segment in list(Plan(again._spec, bench.stores, "", lambda: [1, 2]).segments())
            for item in segment.items if item.held and item.held.path]  # fmt: skip
    planned_ids = [item.id for segment in segments for item in segment.items]
    assert set(planned_ids[20:]) <= set(kept)
    assert len(kept) <= len(planned_ids[20:]) + 4  # and rows that were listed twice
    with pytest.raises(FileNotFoundError):
        member_files.read(HeldBytes("", 0, 5))


def test_a_file_of_members_is_removed_with_the_last_of_them(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(member_files, "FILE_BYTES", 3000)
    files = member_files.MemberFiles(str(tmp_path))
    held = [files.write(f"gs://b/x.tar#{n}", 1000, [bytes([n]) * 600, bytes([n]) * 400]) for n in range(10)]
    assert len({one.path for one in held}) == 4
    for n, one in enumerate(held):
        assert member_files.read(one) == bytes([n]) * 1000
        assert member_files.left_by(str(tmp_path), f"gs://b/x.tar#{n}") == one
    for one in held[::-1]:
        files.drop(one)
    assert files.held_bytes == 0
    assert [str(path) for path in tmp_path.glob("*/*/*")] == [held[-1].path]  # the one that is written
    more = [files.write("gs://b/x.tar#more", 1000, [bytes(1000)]) for _ in range(5)]
    files.drop(more[0])
    files.drop(more[1])
    assert more[0].path == held[-1].path != more[4].path
    assert not pathlib.Path(held[-1].path).exists()
    files.close()
    with pytest.raises(FileNotFoundError):
        member_files.read(more[4])
    with pytest.raises(RuntimeError, match="the job has ended"):
        files.write("gs://b/x.tar#late", 0, [])


def test_an_archive_that_changes_fails_the_job(bench):
    path = bench.bucket / "x.tar"
    path.write_bytes(tar({"a.jpg": b"first"}))
    planned(bench, "gs://b/x.tar")
    path.write_bytes(tar({"a.jpg": b"other", "b.jpg": b"x"}))
    with pytest.raises(errors.ApiError, match=r"gs://b/x\.tar changed while the job was running"):
        planned(bench, "gs://b/x.tar")


def test_members_that_a_list_names_are_read_in_any_order_and_a_missing_one_is_said(bench):
    for packing in ("", "gz"):
        (bench.bucket / f"x{packing}.tar").write_bytes(tar({f"d/{n}, ä.jpg": b"%d" % n for n in range(9)}, packing))
    names = [f"gs://b/x{packing}.tar#d/{n}, ä.jpg" for packing in ("", "gz") for n in (2, 3, 7, 0, 8)]
    lines = [error_line(name, status_pb2.Status(code=14, message="away")) for name in names]
    lines.insert(3, error_line("gs://b/x.tar#none.jpg", status_pb2.Status(code=14, message="away")))
    (bench.bucket / "errors_1.jsonl").write_bytes(b"".join(lines))
    (bench.bucket / "y.tar#z.jpg").write_bytes(b"an object")
    bench.write_list(["gs://b/y.tar#z.jpg", "gs://b/x.tar#d/1 .jpg"])
    found = items(bench, "gs://b/errors_1.jsonl", "gs://b/list.csv")
    read = {item.id: member_files.read(item.held) for item in found if item.held}
    assert read == {name: name.split("/")[-1].split(",")[0].encode() for name in names}
    assert [(item.id, item.failure and "has no member" in item.failure) for item in found if not item.held] == [
        ("gs://b/x.tar#none.jpg", True), ("gs://b/y.tar#z.jpg", None), ("gs://b/x.tar#d/1 .jpg", True)
    ]  # fmt: skip
