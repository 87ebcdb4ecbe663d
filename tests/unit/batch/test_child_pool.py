"""The pool of inference children: idle ones are kept, one that is given back in the middle of a job is ended."""

from __future__ import annotations

import pytest
from tests.support.machine.waiting import wait_until

from boxwright import errors
from boxwright.batch.child_pool import Children


@pytest.fixture
def children():
    pool = Children()
    yield pool
    pool.close()


def test_an_idle_child_is_lent_again(children):
    with children.borrow("m") as first:
        pass
    with children.borrow("m") as second:
        assert second is first


def test_a_child_given_back_in_the_middle_of_a_job_is_ended(children):
    with pytest.raises(errors.LeaseLost), children.borrow("m") as first:
        first.is_busy = True
        raise errors.LeaseLost("op")
    assert not first.is_alive()
    with children.borrow("m") as second:
        assert second is not first


def test_a_child_that_has_told_the_end_of_its_job_is_kept(children):
    with children.borrow("m") as first:
        wait_until(lambda: first.next_event(0.1), "ready")
        first.send_line('{"not": "a job"}')
        assert first.is_busy
        wait_until(lambda: not first.is_alive(), "a job that cannot be read ends the child")
    with children.borrow("m") as second:
        assert second.is_alive()
