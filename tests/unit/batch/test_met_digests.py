"""The ids that a plan has met: exact, in bounded memory."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile

import numpy as np
import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from boxwright import errors
from boxwright.batch import met_digests
from boxwright.batch.met_digests import MetDigests, digest


def _digests(numbers) -> list[bytes]:
    return [digest(f"gs://b/{number}.jpg".encode()) for number in numbers]


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 60), max_size=40)), max_size=12))
def test_an_id_is_new_once_whether_ids_come_alone_or_together_and_wherever_they_are_kept(batches):
    known: set[int] = set()
    with contextlib.closing(MetDigests(run_digests=8)) as met:
        for is_together, numbers in batches:
            expected = [not (number in known or known.add(number)) for number in numbers]
            if is_together:
                assert met.add_all(_digests(numbers)).tolist() == expected
            else:
                assert [met.add(f"gs://b/{number}.jpg") for number in numbers] == expected
        assert len(met) == len(known)


def test_ids_that_were_written_to_the_file_are_known_and_memory_holds_few():
    with contextlib.closing(MetDigests(run_digests=5000)) as met:
        for start in range(0, 40_000, 1000):
            assert met.add_all(_digests(range(start, start + 1000))).all()
        assert sum(len(kept.high) for kept in met._tiers) < 5000
        assert sum(len(kept.high) for kept in met._runs) > 30_000
        for start in range(0, 40_000, 1000):
            assert not met.add_all(_digests(range(start, start + 1000))).any()
        assert not met.add("gs://b/17.jpg")
        assert met.add("gs://b/new.jpg")


@pytest.mark.parametrize("run_digests", [2, 100])
def test_digests_whose_first_halves_are_equal_are_told_apart(run_digests):
    alike = [b"\0" * 8 + number.to_bytes(8, "little") for number in range(6)]
    with contextlib.closing(MetDigests(run_digests=run_digests)) as met:
        assert met.add_all([alike[0], alike[1], alike[0]]).tolist() == [True, True, False]
        assert met.add_all([alike[2], alike[1], alike[3], alike[2]]).tolist() == [True, False, True, False]
        assert met.add_all(alike).tolist() == [False] * 4 + [True] * 2


def test_a_full_disk_under_the_ids_met_is_said(monkeypatch):
    full = pathlib.Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full)
    with full, contextlib.closing(MetDigests(run_digests=10)) as met:
        with pytest.raises(errors.ApiError, match="make room on this machine's disk") as raised:
            met.add_all(_digests(range(20)))
        assert raised.value.code == code_pb2.RESOURCE_EXHAUSTED


def test_the_filter_grows_with_the_ids_and_forgets_none(monkeypatch):
    monkeypatch.setattr(met_digests, "FIRST_FILTER_BITS", 64)
    with contextlib.closing(MetDigests(run_digests=300)) as met:
        for start in range(0, 1000, 50):
            assert met.add_all(_digests(range(start, start + 50))).all()
        assert 8 * len(met._bits) >= 1000
        high, low = met_digests._words(b"".join(_digests(range(1000))))
        assert met._pass(high, low).all()
        assert np.count_nonzero(met.add_all(_digests(range(1000)))) == 0
