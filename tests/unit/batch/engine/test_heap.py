"""Memory that is free again goes back to the system."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from boxwright.batch.engine import heap

BLOCKS, BLOCK_BYTES = 60_000, 1000  # above the size that Python's own allocator serves


def test_what_lies_free_between_blocks_in_use_goes_back():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    process = psutil.Process()
    blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
    kept = blocks[::500]
    del blocks
    before = process.memory_info().rss
    heap.give_back()
    assert before - process.memory_info().rss > BLOCKS * BLOCK_BYTES / 2
    assert len(kept) == BLOCKS // 500


def test_a_library_without_it_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap, "_trim", None)
    heap.give_back()
