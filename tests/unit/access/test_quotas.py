"""Quotas of a minute: how many pass, when the next one may, and what the refusal says."""

from __future__ import annotations

import threading

import pytest
from google.rpc import error_details_pb2

from boxwright import errors
from boxwright.access import quotas, refusals


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def details(error: errors.ApiError) -> tuple:
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.QuotaFailure, error_details_pb2.RetryInfo)
    assert tuple(type(one) for one in error.details) == kinds
    return error.details


def test_as_many_as_the_limit_pass_in_any_minute_and_no_more(clock):
    window = quotas.MinuteWindow(3, clock)
    passed: list[float] = []
    for step in range(600):
        clock.now_s = 1000 + step * 0.7
        if not window.take("p"):
            passed.append(clock.now_s)
    assert all(sum(1 for one in passed if start <= one < start + 60) <= 3 for start in passed)
    assert len(passed) >= 3 * 420 / 61


def test_the_time_that_is_named_is_the_time_that_it_takes(clock):
    window = quotas.MinuteWindow(2, clock)
    window.take("p")
    clock.now_s += 20
    window.take("p")
    wait_s = window.take("p")
    assert wait_s == 40
    clock.now_s += wait_s - 0.001
    assert window.take("p") > 0
    clock.now_s += 0.002
    assert window.take("p") == 0


def test_keys_have_windows_of_their_own_and_are_forgotten_when_there_are_many(clock):
    window = quotas.MinuteWindow(1, clock)
    assert [window.take("a"), window.take("b")] == [0, 0] and window.take("a") == 60
    for number in range(quotas.MAX_KEYS):
        window.take(f"x{number}")
    assert window.take("b") == 0 and len(window._times) == quotas.MAX_KEYS


def test_threads_together_pass_no_more_than_one_would(clock):
    window, passed = quotas.MinuteWindow(500, clock), []

    def take() -> None:
        passed.extend(1 for _ in range(300) if not window.take("p"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 500


def test_what_counts_where(clock):
    counted = quotas.Quotas(quotas.QuotaLimits(requests=4, models=2, predictions=1), clock)
    counted.count("CreateModel", "p")
    counted.count("CreateModel", "p")
    with pytest.raises(errors.ApiError, match="'Model creations per minute'"):
        counted.count("CreateModel", "p")
    counted.count("GetModel", "p")
    with pytest.raises(errors.ApiError, match="'Requests per minute'") as refused:
        counted.count("GetModel", "p")
    counted.count("Predict", "p")
    with pytest.raises(errors.ApiError, match="'Prediction requests per minute'"):
        counted.count("Predict", "p")
    counted.count("GetModel", "another")
    info, failure, retry = details(refused.value)
    assert (info.reason, info.domain) == ("RATE_LIMIT_EXCEEDED", "googleapis.com")
    assert dict(info.metadata) == {
        "service": "automl.googleapis.com",
        "consumer": "projects/p",
        "quota_metric": "automl.googleapis.com/requests",
        "quota_limit": "RequestsPerMinutePerProject",
        "quota_limit_value": "4",
        "quota_location": "global",
        "quota_unit": "1/min/{project}",
    }
    assert failure.violations[0].subject == "project:p" and retry.retry_delay.seconds == 60
    assert refused.value.message == (
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service 'automl.googleapis.com' for "
        "consumer 'project_number:p'."
    )


def test_failures_are_those_that_guessing_would_make(clock):
    counted = quotas.Quotas(quotas.QuotaLimits(failed_authentications=2), clock)
    for error in (refusals.token_expired("m"), errors.permission_denied("no"), errors.unavailable("no")):
        for _ in range(5):
            counted.count_failure("10.0.0.1", error)
    counted.count_failure("10.0.0.1", refusals.credentials_invalid("m"))
    counted.count_failure("10.0.0.1", refusals.api_key_invalid())
    with pytest.raises(errors.ApiError) as refused:
        counted.count_failure("10.0.0.1", refusals.credentials_missing("m"))
    assert refused.value.code_name == "RESOURCE_EXHAUSTED" and details(refused.value)[2].retry_delay.seconds == 60
    counted.count_failure("10.0.0.2", refusals.credentials_invalid("m"))


def test_without_limits_everything_passes(clock):
    counted = quotas.Quotas(quotas.QuotaLimits(), clock)
    for _ in range(2000):
        counted.count("CreateModel", "p")
        counted.count_failure("10.0.0.1", refusals.credentials_invalid("m"))
