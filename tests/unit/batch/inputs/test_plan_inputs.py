"""Every kind of input, planned: the images in their order, the same at every later attempt, and what is wrong said."""

from __future__ import annotations

import gzip
import json
import os
import pathlib

import pytest
from google.rpc import code_pb2
from tests.support.predictions.batch_inputs import ids, items, json_lines, parquet, planned, tar
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors, faults, objects
from boxwright.batch.inputs import frozen_names, member_files
from boxwright.batch.plan import Plan

IMAGES = ["dir/a.jpg", "dir/b, ä.PNG", "dir/sub/c.jpeg", "dir/sub/deep/d.tif", "dir/z.webp"]
URIS = [f"gs://b/{name}" for name in IMAGES]


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    bench = Bench(tmp_path)
    for name in IMAGES:
        (bench.bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.bucket / name).write_bytes(name.encode())
    return bench


CSV = "".join('"' + uri + '"\n' for uri in URIS).encode()
WAYS: dict[str, bytes | None] = {
    "dir/": None,
    "dir": None,
    "dir/**": None,
    "list.csv": CSV,
    "list.csv.gz": gzip.compress(CSV),
    "list.jsonl": json_lines([{"content": uri, "mimeType": "image/jpeg"} for uri in URIS]),
    "list.jsonl.gz": gzip.compress(json_lines([{"image_gcs_uri": uri} for uri in URIS])),
    "list.manifest": json_lines([{"source-ref": uri, "cars": {}} for uri in URIS]),
    "array.manifest": json.dumps([{"prefix": "gs://b/"}, *IMAGES]).encode(),
    "array.json.gz": gzip.compress(json.dumps(URIS).encode()),
    "list.parquet": parquet(URIS),
    "list": gzip.compress(CSV),  # a file is what its content says
    "lists/*.csv": CSV,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_images_are_planned_whichever_way_they_are_named(bench, way):
    content = WAYS[way]
    if content is not None:
        path = bench.bucket / way.replace("*", "1")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    plan, segments = planned(bench, f"gs://b/{way}", shard_images=2)
    assert [[item.id for item in segment.items] for segment in segments] == [URIS[:2], URIS[2:4], URIS[4:]]
    assert (plan.rows_read, plan.duplicates, plan.estimated_images()) == (5, 0, 5)
    assert planned(bench, f"gs://b/{way}", shard_images=2)[1] == segments


@pytest.mark.parametrize("packing", ["", "gz"])
def test_an_archives_members_are_planned_with_their_bytes_at_hand(bench, packing):
    files = {f"./{name}": name.encode() for name in IMAGES}
    (bench.bucket / "x.tar").write_bytes(tar(files, packing))
    plan, segments = planned(bench, "gs://b/x.tar", shard_images=2)
    found = [item for segment in segments for item in segment.items]
    assert [item.id for item in found] == [f"gs://b/x.tar#{name}" for name in IMAGES]
    assert [member_files.read(item.held).decode() for item in found] == IMAGES
    for segment in segments:
        segment.release()
    assert plan._files.held_bytes == 0
    plan.close()
    assert planned(bench, "gs://b/x.tar", shard_images=2)[1] == segments


def test_several_kinds_are_mixed_and_an_image_that_comes_again_is_planned_once(bench):
    bench.write_list(["gs://b/dir/z.webp", "gs://b/other.jpg"])
    (bench.bucket / "list.parquet").write_bytes(parquet(["gs://b/other.jpg", "gs://b/more.jpg"]))
    (bench.bucket / "x.tar").write_bytes(tar({"a.jpg": b"a"}))
    inputs = ["gs://b/list.csv", "gs://b/x.tar", "gs://b/dir/", "gs://b/list.parquet", "gs://b/x.tar"]
    plan, segments = planned(bench, *inputs)
    found = [item.id for segment in segments for item in segment.items]
    assert found == ["gs://b/dir/z.webp", "gs://b/other.jpg", "gs://b/x.tar#a.jpg", *URIS[:4], "gs://b/more.jpg"]
    assert (plan.rows_read, plan.duplicates) == (11, 3)
    (member,) = [item for segment in segments for item in segment.items if item.held]
    assert member_files.read(member.held) == b"a"
    assert plan._files.held_bytes == 1


# ---- folders and patterns -----------------------------------------------------------------------------------------------


def test_what_is_no_image_is_left_out_by_suffix_and_told(bench):
    for name in (
        "dir/a.txt",
        "dir/b.TXT",
        "dir/README",
        "dir/.hidden.jpg",
        "dir/.git/x.jpg",
        "dir/._a.jpg",
        "dir/x.y z",
    ):
        (bench.bucket / name).parent.mkdir(exist_ok=True)
        (bench.bucket / name).write_bytes(b"x")
    (bench.bucket / "dir" / "link").symlink_to(bench.bucket)
    plan, segments = planned(bench, "gs://b/dir/")
    assert [item.id for segment in segments for item in segment.items] == URIS
    assert plan.left_out == {
        "gs://b/dir/": {
            ".txt": 2, "hidden names": 3, "links to folders": 1, "names without a suffix": 1, "other suffixes": 1
        }
    }  # fmt: skip


def test_folders_of_results_are_left_out_and_this_jobs_own_without_a_manifest_too(bench):
    for folder in ("dir/prediction-cars-1", "dir/deep/prediction-cars-2", "dir/prediction-mine"):
        (bench.bucket / folder / "report").mkdir(parents=True)
        (bench.bucket / folder / "report" / "1.jpg").write_bytes(b"x")
        (bench.bucket / folder / "manifest.json").write_bytes(b"{}")
    (bench.bucket / "dir/prediction-mine/manifest.json").unlink()
    (bench.bucket / "job" / "x.jpg").parent.mkdir()
    (bench.bucket / "dir/xprediction-a.jpg").write_bytes(b"x")
    plan, segments = planned(bench, "gs://b/")
    found = [item.id for segment in segments for item in segment.items]
    assert found == sorted(
        [*URIS, "gs://b/dir/prediction-mine/report/1.jpg", "gs://b/dir/xprediction-a.jpg"], key=str.encode
    )
    assert plan.left_out["gs://b/"] == {"in folders of results": 4}
    spec = bench.spec("again", lists=["gs://b/"], shard_images=100)
    own = Plan(type(spec)(**{**spec.__dict__, "output_directory": "gs://b/dir/prediction-mine"}), bench.stores)
    assert "gs://b/dir/prediction-mine/report/1.jpg" not in [item.id for item in next(own.segments()).items]


def test_other_suffixes_are_taken_if_they_are_asked_for(bench):
    (bench.bucket / "dir" / "x.DAT").write_bytes(b"x")
    (bench.bucket / "dir" / "noname").write_bytes(b"x")
    assert ids(bench, "gs://b/dir/", input_suffixes=[".dat", ".png"]) == [URIS[1], "gs://b/dir/x.DAT"]
    assert len(ids(bench, "gs://b/dir/", input_suffixes=["*"], name="any")) == 7


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("dir/*", [0, 1, 4]),
        ("dir/**/*.jp*", [0, 2]),
        ("*/sub/**", [2, 3]),
        ("dir/{a,z}.*", [0, 4]),
        ("dir/s*/", [2, 3]),
    ],
)
def test_a_pattern_names_what_fits(bench, pattern, found):
    assert ids(bench, f"gs://b/{pattern}") == [URIS[index] for index in found]


def test_a_folder_or_pattern_of_nothing_says_so_with_what_is_there(bench):
    (bench.bucket / "shards").mkdir()
    for number in range(3):
        (bench.bucket / f"shards/{number}.tar").write_bytes(b"x")
    for text, said in (
        ("gs://b/shards/", r"there is no image, only what is left out \(3 \.tar\).*as in gs://b/shards/\*\.tar"),
        ("gs://b/dir/*.bmp", "there is no image of that name"),
        ("gs://b/lists/*.csv", "there is no file of that name"),
        ("gs://b/nothing/", "there is no image of that name"),
    ):
        with pytest.raises(errors.ApiError, match=said) as raised:
            planned(bench, text, name=text.replace("/", "-"))
        assert raised.value.code == code_pb2.NOT_FOUND
        assert raised.value.message.startswith(f"{text}: ")


def test_a_name_that_is_no_address_is_a_failed_image(bench):
    os.close(os.open(os.fsencode(bench.bucket) + b"/dir/\xff.jpg", os.O_CREAT | os.O_WRONLY))
    (bench.bucket / "dir" / "a\nb.jpg").write_bytes(b"x")
    failed = {item.id: item.failure for item in items(bench, "gs://b/dir/") if item.failure}
    assert list(failed) == ["gs://b/dir/a\nb.jpg", "gs://b/dir/�.jpg"] or len(failed) == 2
    assert any("its name is no UTF-8 text" in failure for failure in failed.values())
    assert any("it has control characters" in failure for failure in failed.values())


@pytest.mark.parametrize("point", ["plan.before_page", "plan.after_page", "plan.before_header", "plan.after_segment"])
@pytest.mark.parametrize("passage", [1, 2])
def test_an_attempt_that_goes_on_works_by_the_names_that_the_first_has_found(bench, monkeypatch, point, passage):
    monkeypatch.setattr(frozen_names, "PAGE_KEYS", 2)
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += name == point
        if passed == passage:
            raise OSError(28, "the disk is full")

    if point != "plan.before_header" or passage == 1:
        with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
            patch.setattr(faults, "point", die)
            planned(bench, "gs://b/dir/", shard_images=2)
    late = ["dir/0.jpg", "dir/zz.jpg"]  # one before all that was listed, and one behind it
    for name in late:
        (bench.bucket / name).write_bytes(b"x")
    found = ids(bench, "gs://b/dir/", shard_images=2)
    assert [image_id for image_id in found if image_id not in {f"gs://b/{name}" for name in late}] == URIS
    (bench.bucket / "dir/1.jpg").write_bytes(b"x")
    (bench.bucket / "dir/a.jpg").unlink()
    assert ids(bench, "gs://b/dir/", shard_images=2) == found


def test_a_folder_stays_one_and_a_file_one_whatever_comes_later(bench):
    found = ids(bench, "gs://b/dir")
    for name in IMAGES:
        (bench.bucket / name).unlink()
    assert ids(bench, "gs://b/dir") == found


def test_the_lists_of_a_pattern_must_not_change_and_new_ones_are_not_read(bench):
    for number in range(3):
        bench.write_list([f"gs://b/{number}.jpg"], f"part-{number}.csv")
    found = ids(bench, "gs://b/part-*.csv")
    assert found == [f"gs://b/{number}.jpg" for number in range(3)]
    bench.write_list(["gs://b/9.jpg"], "part-9.csv")
    assert ids(bench, "gs://b/part-*.csv") == found
    bench.write_list(["gs://b/1.jpg", "gs://b/2.jpg"], "part-1.csv")
    with pytest.raises(errors.ApiError, match=r"gs://b/part-1\.csv changed while the job was running"):
        planned(bench, "gs://b/part-*.csv")


def test_a_plan_of_a_version_without_folders_takes_every_address_as_a_files(bench):
    bench.write_list(["gs://b/1.jpg"], "li*st{1,2}.csv")
    spec = bench.spec(lists=["gs://b/li*st{1,2}.csv"])
    info = bench.stores.head(objects.ObjectUri.parse(spec.input_uris[0]))
    header = {"version": 2, "shard_images": 10, "lists": [[str(info.uri), info.size_bytes, info.e_tag]]}
    bench.stores.put(objects.ObjectUri.parse(spec.scratch).child("plan/header.json"), json.dumps(header).encode())
    assert [item.id for segment in Plan(spec, bench.stores).segments() for item in segment.items] == ["gs://b/1.jpg"]


# ---- rows ---------------------------------------------------------------------------------------------------------------


def test_unusable_rows_of_every_kind_of_list_cost_those_rows(bench):
    good = [f"gs://b/{number}.jpg" for number in range(4)]
    (bench.bucket / "a.jsonl").write_bytes(
        json_lines([{"uri": good[0]}, {"x": 1}, {"uri": "cat.jpg"}, {"uri": good[1]}])
    )
    (bench.bucket / "b.parquet").write_bytes(parquet([good[2], "", "s3://x/y.jpg", good[3]]))
    found = items(bench, "gs://b/a.jsonl", "gs://b/b.parquet")
    assert [item.id for item in found if not item.failure] == good
    failures = [item.failure for item in found if item.failure]
    assert [failure.split(":")[0] for failure in failures] == ["gs"] * 4
    expected = ["line 2: the line has no address", "line 3: ", "row 2: the row has no value", "s3:// is not served"]
    for failure, said in zip(failures, expected, strict=True):
        assert said in failure


def test_a_list_of_json_whose_rows_are_mostly_unusable_fails_the_job(bench):
    (bench.bucket / "a.jsonl").write_bytes(json_lines([{"uri": "gs://b/1.jpg"}, {"x": 1}, {"x": 2}]))
    with pytest.raises(errors.ApiError, match=r"2 of 3 rows are not usable.*a\.jsonl, line 2: the line has no address"):
        planned(bench, "gs://b/a.jsonl")


def test_a_packed_list_that_is_damaged_fails_the_job_by_its_name(bench):
    (bench.bucket / "list.csv.gz").write_bytes(gzip.compress(b"gs://b/1.jpg\n" * 500)[:-20])
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv\.gz cannot be unpacked as gzip: it is cut off"):
        planned(bench, "gs://b/list.csv.gz")


def test_an_image_given_as_a_list_is_told_that_its_folder_can_be(bench):
    (bench.bucket / "dir/a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    with pytest.raises(errors.ApiError, match=r"this is a JPEG image.*also takes the folder of the images"):
        planned(bench, "gs://b/dir/a.jpg")
