"""One child that runs many jobs: each borrower hears its own job only, and one that hangs is ended."""

from __future__ import annotations

import pytest
from tests.support.machine.waiting import wait_until

from boxwright import errors
from boxwright.batch import channels
from boxwright.batch.channels import ChannelChildren
from boxwright.batch.job import BatchJob, BatchSpec, EstimateCommand, JobFolders, MachineShare, TrialCommand
from boxwright.processes import ChildExitError

MODULE = "tests.support.processes.channel_child"


@pytest.fixture(scope="module")
def children():
    pool = ChannelChildren([], MODULE, {})
    yield pool
    pool.close()


def _job(does: str, **spec) -> BatchJob:
    values = {"input_uris": ["gs://b/list.csv"], "score_threshold": 0.5, "max_boxes": None, "shard_images": 10} | spec
    return BatchJob(
        BatchSpec(output_directory=does, scratch="state:/x", row_failure_limit=0.5, **values),
        JobFolders("model", {}),
        MachineShare(1),
    )


def _event(child):
    return wait_until(lambda: child.next_event(0.1), "an event")


def test_jobs_at_the_same_time_are_in_one_process_and_hear_their_own_events(children):
    with children.borrow("m") as first, children.borrow("m") as second:
        first.send_line(_job("wait").to_json())
        begun = _event(first)
        second.send_line(_job("finish").to_json())
        assert _event(second) == {"event": "done", "pid": begun["pid"]}
        assert begun["pid"] == first.pid == second.pid
        assert children.count == 1
        assert first.next_event(0.0) is None
        first.send_line("stop")
        assert _event(first) == {"event": "stopped"}


def test_a_job_that_its_borrower_leaves_is_dropped_and_the_others_go_on(children):
    with children.borrow("m") as first:
        first.send_line(_job("wait").to_json())
        _event(first)
        with pytest.raises(errors.LeaseLost), children.borrow("m") as second:
            second.send_line(_job("wait").to_json())
            _event(second)
            raise errors.LeaseLost("op")
        assert _event(first)["event"] == "heard"


def test_a_child_that_dies_tells_the_borrowers_of_all_its_jobs_and_the_next_job_has_a_new_one(children):
    with children.borrow("m") as first, children.borrow("m") as second:
        first.send_line(_job("wait").to_json())
        pid = _event(first)["pid"]
        second.send_line(_job("die").to_json())
        for child in (first, second, first):
            with pytest.raises(ChildExitError, match="ended with status 3"):
                _event(child)
        assert children.count == 0
        with children.borrow("m") as third:
            third.send_line(_job("finish").to_json())
            assert _event(third)["pid"] != pid


def test_a_job_that_dies_alone_takes_no_other_with_it(children):
    with children.borrow("m") as first, children.borrow("m") as second:
        first.send_line(_job("wait").to_json())
        _event(first)
        second.send_line(_job("fail").to_json())
        with pytest.raises(ChildExitError, match="died: of an error"):
            _event(second)
        first.send_line("stop")
        assert _event(first) == {"event": "stopped"}


def test_a_child_that_hangs_is_ended_when_its_borrower_gives_up(children, monkeypatch):
    monkeypatch.setattr(channels, "HUNG_S", 0.0)
    with children.borrow("m") as child:
        child.send_line(_job("hang").to_json())
        child.close(grace_s=0)
        with pytest.raises(ChildExitError, match="signal 9"):
            _event(child)
    assert children.count == 0


@pytest.mark.parametrize(
    ("line", "is_shared"),
    [
        (_job("x").to_json(), True),
        (_job("x", base="gs://b/former").to_json(), False),
        (_job("x", input_uris=["gs://b/out/manifest.json"]).to_json(), False),
        (EstimateCommand(_job("x")).to_json(), False),
        (TrialCommand("gs://b/1.jpg", _job("x")).to_json(), False),
    ],
)
def test_only_whole_jobs_that_predict_go_to_the_child_of_many(line, is_shared):
    assert channels.is_shared(line) == is_shared
