"""Fault injection: what the variable says happens, at the passage it names, and nothing else does."""

from __future__ import annotations

import pytest

from boxwright import errors, faults


@pytest.mark.parametrize("text", ["", " ", ","])
def test_without_faults_every_point_is_passed(text):
    faults.Faults({"BOXWRIGHT_FAULTS": text}).point("sink.after_put")


def test_a_fault_happens_at_the_passage_that_it_names_and_only_there():
    injected = faults.Faults({"BOXWRIGHT_FAULTS": "a.b:raise@3, other:kill"})
    injected.point("a.b")
    injected.point("a.b")
    with pytest.raises(OSError, match=r"injected fault at a\.b"):
        injected.point("a.b")
    injected.point("a.b")


def test_a_point_may_hold_a_uri():
    injected = faults.Faults({"BOXWRIGHT_FAULTS": "image gs://b/a.jpg:raise"})
    injected.point("image gs://b/b.jpg")
    with pytest.raises(OSError, match=r"a\.jpg"):
        injected.point("image gs://b/a.jpg")


def test_a_marked_fault_happens_once_for_all_processes(tmp_path):
    environment = {"BOXWRIGHT_FAULTS": "image gs://b/a.jpg:raise", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path)}
    with pytest.raises(OSError, match="injected"):
        faults.Faults(environment).point("image gs://b/a.jpg")
    faults.Faults(environment).point("image gs://b/a.jpg")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fault_of_every_passage_is_armed_again_by_taking_its_mark_away(tmp_path):
    injected = faults.Faults({"BOXWRIGHT_FAULTS": "a.b:raise@*", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path)})
    for _ in range(2):
        with pytest.raises(OSError, match="injected"):
            injected.point("a.b")
        injected.point("a.b")
        (tmp_path / "a.b").unlink()


@pytest.mark.parametrize("text", ["a", "a:explode", "a:kill@x", "a:kill@-1"])
def test_a_fault_that_cannot_be_understood_is_named(text):
    with pytest.raises(errors.ApiError, match="BOXWRIGHT_FAULTS"):
        faults.parse(text)
