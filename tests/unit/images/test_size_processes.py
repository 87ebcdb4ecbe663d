"""Images that are decoded in processes of their own: the same answers, and what becomes of those that end a process."""

from __future__ import annotations

import concurrent.futures
import hashlib
import pathlib

import psutil
import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S, wait_until

from boxwright import faults
from boxwright.images import decode, size_main
from boxwright.images.size_processes import DecoderCrashError, DecoderOverdueError, SizeProcesses

HOSTILE, OTHER = drawn_images.draw(1).content, drawn_images.draw(2).content


def _arm(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    """Lets every process that decodes the hostile image die or hang."""
    monkeypatch.setenv(faults.VARIABLE, f"image {hashlib.sha256(HOSTILE).hexdigest()}:{action}@*")


def _children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if size_main.__name__ in " ".join(one.cmdline())]


def test_sizes_and_reasons_are_those_of_the_decoder() -> None:
    images = [drawn_images.draw(number).content for number in range(12)]
    with SizeProcesses(PATIENCE_S) as sizes, concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(sizes.size_hw, images)) == [decode.decode(one, (32, 32)).size_hw for one in images]
        for bad in (b"", b"no image", HOSTILE[: len(HOSTILE) // 2]):
            with pytest.raises(decode.DecodeError) as here:
                decode.decode(bad, (32, 32))
            with pytest.raises(decode.DecodeError) as there:
                sizes.size_hw(bad)
            assert there.value.reason == here.value.reason
        assert 1 <= len(_children()) <= 3
    assert _children() == []


def test_an_image_that_ends_its_process_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _arm(monkeypatch, "kill")
    with SizeProcesses(PATIENCE_S) as sizes, concurrent.futures.ThreadPoolExecutor(3) as pool:
        others = [pool.submit(sizes.size_hw, OTHER) for _ in range(20)]
        with pytest.raises(DecoderCrashError):
            sizes.size_hw(HOSTILE)
        expected = decode.decode(OTHER, (32, 32)).size_hw
        assert {one.result(PATIENCE_S) for one in others} == {expected}
        assert sizes.size_hw(OTHER) == expected


def test_a_process_that_somebody_else_ended_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    _arm(monkeypatch, "kill")
    monkeypatch.setenv(faults.ONCE_VARIABLE, str(tmp_path))
    with SizeProcesses(PATIENCE_S) as sizes:
        assert sizes.size_hw(HOSTILE) == decode.decode(HOSTILE, (32, 32)).size_hw
    assert list(tmp_path.iterdir()), "the first process did die"


def test_an_image_that_hangs_its_decoder_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    _arm(monkeypatch, "hang")
    with SizeProcesses(0.5) as sizes:
        with pytest.raises(DecoderOverdueError):
            sizes.size_hw(HOSTILE)
        assert _children() == []


def test_who_waits_for_an_image_may_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    _arm(monkeypatch, "hang")
    with SizeProcesses(PATIENCE_S) as sizes:
        with pytest.raises(Stopped):
            sizes.size_hw(HOSTILE, stop)
        wait_until(lambda: not _children(), "the process in the middle of the image to be gone")
        assert sizes.size_hw(OTHER) == decode.decode(OTHER, (32, 32)).size_hw
