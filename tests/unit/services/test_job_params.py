"""Terms of a job: priorities, deadlines, spellings; what is refused, naming the key."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from boxwright import errors, kinds
from boxwright.operations.records import Terms
from boxwright.services import job_params, validation


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({}, Terms()),
        ({"priority": "high"}, Terms(job_params.states.Priority.HIGH)),
        ({"priority": " Low "}, Terms(job_params.states.Priority.LOW)),
        ({"deadline_s": "1.5"}, Terms(deadline_s=1.5)),
        ({"deadlineS": "31622400"}, Terms(deadline_s=31622400.0)),
    ],
)
def test_terms(params, wanted):
    assert job_params.terms(params) == wanted
    assert validation.ignored_params(params, validation.BATCH_PARAMS[kinds.OBJECT_DETECTION]) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("priority", "urgent"), ("priority", ""), ("deadline_s", "0"), ("deadline_s", "nan"), ("deadline_s", "1e9"),
     ("deadline_s", "an hour")],
)  # fmt: skip
def test_what_is_no_term_is_refused(key, value):
    with pytest.raises(errors.ApiError, match=f"params.{key}") as refused:
        job_params.terms({key: value})
    assert refused.value.code == code_pb2.INVALID_ARGUMENT


def test_only_high_priority_needs_a_permission():
    for priority in job_params.states.Priority:
        needed = [need.permission for need in job_params.requirements(Terms(priority), "projects/p")]
        assert needed == ([job_params.PRIORITIZE] if priority == "high" else [])
