"""How many hosts are asked for, and how fast: numbers in, a number out."""

from __future__ import annotations

import pytest

from boxwright.cluster.autoscale import GrowthLimit, Work, wanted


@pytest.mark.parametrize(
    ("works", "most", "hosts"),
    [
        ([], 100, 0),
        ([Work(0, 4.0)], 100, 0),
        ([Work(1, 0.01)], 100, 1),
        ([Work(15, 4.0)], 100, 1),  # a host does 7.5 in 30 s
        ([Work(16, 4.0)], 100, 2),
        ([Work(1500, 4.0)], 100, 100),
        ([Work(1501, 4.0)], 1000, 101),
        ([Work(20)], 100, 10),  # nothing is known yet: one in 30 s
        ([Work(15, 4.0), Work(15, 4.0)], 100, 2),
        ([Work(7, 4.0), Work(8, 4.0)], 100, 1),  # two small jobs share one
        ([Work(5, 4.0), Work(0, None)], 100, 1),
        ([Work(5, 0.0)], 100, 1),
        ([Work(10**7, 3.5)], 1000, 1000),
        ([Work(5, 3.0)], 0, 0),
    ],
)
def test_hosts_are_wanted_for_the_work_of_a_minute_each(works, most, hosts):
    assert wanted(works, most) == hosts


def test_the_first_host_is_asked_for_at_once_and_then_twice_as_many_every_ten_seconds():
    growth, hosts, seen = GrowthLimit(), 0, []
    for second in range(41):
        hosts = growth.allowed(100, hosts, float(second))
        seen.append(hosts)
    assert [seen[second] for second in (0, 9, 10, 19, 20, 30, 40)] == [1, 1, 2, 2, 4, 8, 16]


def test_no_more_are_asked_for_than_are_wanted():
    growth = GrowthLimit()
    assert growth.allowed(3, 0, 0.0) == 1
    assert growth.allowed(3, 1, 10.0) == 2
    assert growth.allowed(3, 2, 20.0) == 3
    assert growth.allowed(3, 3, 90.0) == 3


def test_a_host_that_is_lost_is_replaced_at_once():
    growth = GrowthLimit()
    growth.allowed(4, 0, 0.0)
    growth.allowed(4, 1, 10.0)
    growth.allowed(4, 2, 20.0)
    assert growth.allowed(4, 1, 20.5) == 4
    assert growth.allowed(4, 0, 21.0) == 4


def test_hosts_that_are_there_are_never_too_many():
    growth = GrowthLimit()
    assert growth.allowed(1, 5, 0.0) == 5
    assert growth.allowed(8, 5, 5.0) == 5
    assert growth.allowed(8, 5, 10.0) == 8


def test_when_there_is_nothing_to_do_the_next_job_begins_with_one():
    growth = GrowthLimit()
    growth.allowed(8, 0, 0.0)
    growth.allowed(8, 1, 10.0)
    assert growth.allowed(0, 2, 11.0) == 2  # they are kept for a while
    assert growth.allowed(0, 0, 80.0) == 0
    assert growth.allowed(8, 0, 81.0) == 1
    assert growth.allowed(8, 1, 90.0) == 1
    assert growth.allowed(8, 1, 91.0) == 2
