"""Every compliance case of `cases/*.json`, through every door that can say it, against one running service."""

from __future__ import annotations

import collections
from collections.abc import Callable

import pytest
from google.longrunning import operations_pb2
from tests.support.clients import case_world, cases

CASES = list(cases.read_cases())


@pytest.fixture
def lookup(world: case_world.World) -> Callable[[str], str | None]:
    """The values of this test: what is fresh is made once for it."""
    return world.for_one_test()


def test_the_cases_are_well_formed_and_there_are_enough_of_them() -> None:
    assert not [f"{case.label}: {problem}" for case in CASES for problem in cases.problems(case)]
    repeated = [label for label, count in collections.Counter(case.label for case in CASES).items() if count > 1]
    assert not repeated
    assert len(CASES) >= 300


def test_every_method_has_cases() -> None:
    covered = collections.Counter(case.row.full_name for case in CASES)
    assert not [row.full_name for row in cases.methods.TABLE if covered[row.full_name] < 3]


@pytest.mark.parametrize(
    "case, door", [pytest.param(case, door, id=f"{case.label}-{door}") for case in CASES for door in case.doors]
)
def test_case(case: cases.Case, door: str, world: case_world.World, lookup: Callable[[str], str | None]) -> None:
    data = cases.filled(case.data, lookup)
    if door == "rest":
        answer = cases.send_rest(world.service.port, case.row, data)
    else:
        answer = cases.send_grpc(world.channel, case.row, data)
    if case.row.response is operations_pb2.Operation and answer.content and not answer.content.get("done"):
        world.end(answer.content["name"])
    assert not cases.verdict(data, door, answer)
