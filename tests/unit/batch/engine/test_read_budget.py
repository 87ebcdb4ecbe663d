"""ReadBudget: the bound on images and bytes that are read and not yet predicted."""

from __future__ import annotations

import threading
from concurrent import futures

import pytest

from boxwright.batch.engine.read_budget import ReadBudget


def test_before_the_first_image_each_counts_as_the_largest_that_there_may_be() -> None:
    admission = ReadBudget(100, 250, 100)
    assert [admission.enter(), admission.enter()] == [100, 100]
    assert (admission.images, admission.bytes) == (2, 200)
    with futures.ThreadPoolExecutor(1) as pool:
        third = pool.submit(admission.enter)
        admission.settle(100, 10)  # 110 held, and the third is now expected to have 10
        assert third.result(timeout=60) == 10
    assert (admission.images, admission.bytes) == (3, 120)


def test_an_image_larger_than_the_whole_budget_is_admitted_alone() -> None:
    admission = ReadBudget(100, 50, 100)
    assert admission.enter() == 100
    with futures.ThreadPoolExecutor(1) as pool:
        second = pool.submit(admission.enter)
        admission.settle(100, 80)
        assert not second.done()
        admission.leave(80)
        assert second.result(timeout=60) == 80


def test_closing_tells_those_who_wait_and_those_who_come() -> None:
    admission = ReadBudget(1, 100, 10)
    admission.enter()
    with futures.ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(admission.enter) for _ in range(3)]
        admission.close()
        assert [one.result(timeout=60) for one in waiting] == [None] * 3
    assert admission.enter() is None


@pytest.mark.parametrize("largest", [1, 7, 60])
def test_many_readers_stay_within_the_budget(largest: int) -> None:
    admission = ReadBudget(8, 100, 60)
    lock, seen = threading.Lock(), []

    def read(number: int) -> None:
        reserved = admission.enter()
        assert reserved is not None
        size = 1 + number % largest
        admission.settle(reserved, size)
        with lock:
            seen.append((admission.images, admission.bytes))
        admission.leave(size)

    with futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(read, range(400)))
    assert max(images for images, _ in seen) <= 8
    assert max(held for _, held in seen) <= 100 + largest  # a new largest image may go over, by itself at most
    assert (admission.images, admission.bytes) == (0, 0)
