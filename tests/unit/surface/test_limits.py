"""Bytes of bodies in memory are counted, and given back when nobody uses them."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from boxwright import errors
from boxwright.surface import limits, methods


def test_only_images_take_more_than_the_general_limit() -> None:
    bounds = limits.ServerLimits(body_bytes=1000)
    assert {row.rpc for row in methods.TABLE if bounds.of(row) != 1000} == {"Predict", "UploadExample"}
    assert bounds.largest_bytes == methods.MAX_IMAGE_BODY_BYTES
    assert (
        limits.ServerLimits(body_bytes=2 * methods.MAX_IMAGE_BODY_BYTES).largest_bytes
        == 2 * methods.MAX_IMAGE_BODY_BYTES
    )


def test_a_body_counts_until_it_is_closed() -> None:
    budget = limits.BodyBudget(100)
    first, second = limits.Body(budget), limits.Body(budget)
    first.add(b"a" * 30)
    first.add(b"b" * 30)
    second.count(40)
    assert (budget.held_bytes, bytes(first.content)) == (100, b"a" * 30 + b"b" * 30)
    with pytest.raises(errors.ApiError) as caught:
        first.add(b"c")
    assert caught.value.code == code_pb2.UNAVAILABLE
    second.put(b"d" * 10)
    first.add(b"c")
    assert budget.held_bytes == 71
    first.close()
    second.close()
    assert (budget.held_bytes, budget.most_bytes, first.content) == (0, 100, b"")


def test_a_body_that_a_thread_works_on_counts_on() -> None:
    budget = limits.BodyBudget(100)
    body = limits.Body(budget)
    body.add(b"a" * 30)
    with body.used():
        body.close()
        assert (budget.held_bytes, bytes(body.content)) == (30, b"a" * 30)
    assert budget.held_bytes == 0
    with pytest.raises(errors.ApiError) as caught, body.used():
        pass
    assert caught.value.code == code_pb2.CANCELLED
