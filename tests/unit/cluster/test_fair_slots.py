"""Which job the next place at a host is for."""

from __future__ import annotations

import collections
import random

from boxwright import states
from boxwright.cluster.fair_slots import HeldCount, has_precedence
from boxwright.operations import sharing


def test_a_job_that_is_alone_takes_every_place():
    assert has_precedence(0, [], [HeldCount("p", 100)])
    assert has_precedence(0, [], [HeldCount("p", 100), HeldCount("q", 0)])  # which has nothing to hand over


def test_the_job_with_the_fewest_places_comes_first():
    held = [HeldCount("p", 2), HeldCount("p", 1)]
    assert not has_precedence(0, [1], held)
    assert has_precedence(1, [0], held)


def test_equal_jobs_do_not_wait_for_each_other():
    held = [HeldCount("p", 1), HeldCount("p", 1), HeldCount("q", 2)]
    assert all(has_precedence(job, [other for other in range(3) if other != job], held) for job in range(3))


def test_priorities_have_the_weights_of_their_turns():
    assert [sharing.weight(priority) for priority in ("high", "normal", "low")] == [4, 2, 1]
    assert {sharing.weight(priority) for priority in states.Priority} == {4, 2, 1}


def test_a_job_of_twice_the_weight_gets_twice_the_places():
    assert has_precedence(0, [1], [HeldCount("p", 3, 2.0), HeldCount("p", 2)])
    assert not has_precedence(0, [1], [HeldCount("p", 5, 2.0), HeldCount("p", 2)])


def test_a_project_with_many_jobs_gets_no_more_than_one_with_one():
    held = [*(HeldCount("many", 1) for _ in range(4)), HeldCount("one", 3)]
    assert has_precedence(4, [0, 1, 2, 3], held)
    assert not has_precedence(0, [4], held)


def test_places_that_come_free_one_by_one_are_shared_by_projects_then_weights():
    jobs = [("a", 1.0), ("a", 2.0), ("b", 1.0)]
    held = collections.Counter({0: 12})  # the first had all of them when the others came
    chance = random.Random(7)
    for _ in range(300):
        done = chance.choice([job for job in held if held[job]])
        held[done] -= 1
        holdings = [HeldCount(group, held[job], weight) for job, (group, weight) in enumerate(jobs)]
        takers = [job for job in range(3) if has_precedence(job, [one for one in range(3) if one != job], holdings)]
        assert takers
        held[chance.choice(takers)] += 1
    assert held.total() == 12
    assert abs(held[2] - 6) <= 1
    assert abs(held[1] - 4) <= 1
