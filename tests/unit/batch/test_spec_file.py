"""Later attempts work by the spec of the first, whatever the settings are by now and whichever version wrote it."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest
from tests.support.predictions.batch_jobs import Bench

from boxwright import objects
from boxwright.batch import spec_file

REQUESTED = ("score_threshold", "max_boxes", "ignored_params")


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


def _kept(bench: Bench, spec, requested=REQUESTED, *, is_begun: bool = True, must_exist: bool = False):
    return spec_file.kept(bench.stores, spec, is_begun=is_begun, must_exist=must_exist, requested=requested)


def _put(bench: Bench, name: str, values: dict) -> None:
    uri = objects.ObjectUri.parse(bench.spec().scratch).child(name)
    bench.stores.put(uri, json.dumps(values).encode())


def test_the_first_spec_stays(bench):
    first = bench.spec(shard_images=7, image_timeout_s=2.0)
    assert _kept(bench, first, is_begun=False) == first
    later = bench.spec(shard_images=9, image_timeout_s=3.0, precision="fp32", camel_case=True)
    for is_begun in (True, False):  # an attempt that died before its folder had a name has begun nothing
        assert _kept(bench, later, is_begun=is_begun) == first


def test_which_run_it_is_and_where_the_scratch_lies_is_not_kept(bench):
    first = bench.spec()
    _kept(bench, first, is_begun=False)
    assert _kept(bench, dataclasses.replace(first, pass_number=2)).pass_number == 2
    moved = bench.spec("moved")
    source = objects.ObjectUri.parse(first.scratch).child(spec_file.FILE)
    target = objects.ObjectUri.parse(moved.scratch).child(spec_file.FILE)
    bench.stores.put(target, bench.stores.get(source))
    found = _kept(bench, moved)
    assert (found.scratch, found.output_directory) == (moved.scratch, first.output_directory)


def test_what_version_0_1_0_kept_still_holds_and_is_kept_anew(bench):
    former = {
        "shard_images": 7, "row_failure_limit": 0.25, "image_failure_limit": 0.5, "camel_case": True, "precision": "fp32",
    }  # fmt: skip
    _put(bench, spec_file.FORMER_FILE, former)
    now = bench.spec(shard_images=500, image_failure_limit=1.0, image_timeout_s=5.0)
    expected = dataclasses.replace(now, **former)
    assert _kept(bench, now, must_exist=True) == expected
    assert _kept(bench, bench.spec(), must_exist=True) == expected


def test_what_the_request_chooses_wins_over_a_setting_that_version_0_1_0_kept(bench):
    _put(bench, spec_file.FORMER_FILE, {"shard_images": 7, "image_failure_limit": 0.5})
    now = bench.spec(image_failure_limit=0.125)
    found = _kept(bench, now, (*REQUESTED, "image_failure_limit"))
    assert (found.image_failure_limit, found.shard_images) == (0.125, 7)


def test_what_another_version_has_written_beside_is_left_alone(bench):
    _put(bench, spec_file.FILE, {"shard_images": 7, "unheard_of": 1, "pass_number": 9})
    assert _kept(bench, bench.spec(camel_case=True)) == bench.spec(shard_images=7, camel_case=True)


def test_a_spec_that_must_exist_and_does_not_is_no_spec(bench):
    with pytest.raises(objects.ObjectNotFound):
        _kept(bench, bench.spec(), must_exist=True)
    assert _kept(bench, bench.spec()) == bench.spec()
