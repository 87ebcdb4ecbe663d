"""Pictures are made in processes, once however many ask, and found again."""

from __future__ import annotations

import concurrent.futures
import hashlib
import pathlib
import threading
from collections.abc import Iterator

import psutil
import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S, wait_until

from boxwright import errors, faults
from boxwright.images import decode
from boxwright.pictures import child_main
from boxwright.pictures.builder import PictureBuilder
from boxwright.pictures.cache import PictureCache
from boxwright.pictures.decoders import DecoderProcesses
from boxwright.pictures.rendering import PictureRequest, look, render

HOSTILE, OTHER = drawn_images.draw(1).content, drawn_images.draw(2).content
WANTED = PictureRequest(256)


def _arm(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setenv(faults.VARIABLE, f"image {hashlib.sha256(HOSTILE).hexdigest()}:{action}@*")


def _children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if child_main.__name__ in " ".join(one.cmdline())]


@pytest.fixture
def maker(tmp_path: pathlib.Path) -> Iterator[PictureBuilder]:
    made = PictureBuilder(DecoderProcesses(2, PATIENCE_S), PictureCache(tmp_path, 1 << 24))
    yield made
    made.close()


def test_pictures_are_what_rendering_makes_and_are_made_once(maker: PictureBuilder) -> None:
    reads: list[int] = []
    entered = threading.Event()

    def read() -> bytes:
        reads.append(1)
        entered.wait(PATIENCE_S)
        return OTHER

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(maker.picture, "other", read, WANTED) for _ in range(8)]
        wait_until(lambda: bool(reads), "the first to read")
        entered.set()
        found = {one.result(PATIENCE_S) for one in asked}
    assert found == {render(OTHER, WANTED)}
    assert maker.picture("other", read, WANTED) in found
    assert len(reads) == 1
    part = PictureRequest(256, (0.0, 0.0, 0.5, 0.5))
    assert maker.picture("other", read, part) == render(OTHER, part)
    assert maker.look(OTHER) == look(OTHER)
    assert len(_children()) <= 2
    maker.close()
    assert _children() == []
    with pytest.raises(errors.ApiError):
        maker.look(OTHER)


def test_what_fails_fails_for_all_who_wait_and_may_be_asked_again(maker: PictureBuilder) -> None:
    for bad in (b"", b"no image", OTHER[: len(OTHER) // 2]):
        with pytest.raises(decode.DecodeError) as here:
            render(bad, WANTED)
        with pytest.raises(decode.DecodeError) as there:
            maker.picture("image", lambda content=bad: content, WANTED)
        assert there.value.reason == here.value.reason

    def lost() -> bytes:
        raise errors.not_found("gone")

    with pytest.raises(errors.ApiError):
        maker.picture("image", lost, WANTED)
    assert maker.picture("image", lambda: OTHER, WANTED) == render(OTHER, WANTED)


def test_an_image_that_ends_or_hangs_its_process_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _arm(monkeypatch, "kill")
    decoders = DecoderProcesses(2, PATIENCE_S)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        others = [pool.submit(decoders.render, OTHER, WANTED) for _ in range(12)]
        with pytest.raises(decode.DecodeError, match="crashes the decoder"):
            decoders.render(HOSTILE, WANTED)
        assert {one.result(PATIENCE_S) for one in others} == {render(OTHER, WANTED)}
    decoders.close()
    _arm(monkeypatch, "hang")
    hasty = DecoderProcesses(1, 0.5)
    assert hasty.look(OTHER) == look(OTHER)  # a started process has no patience any more
    with pytest.raises(decode.DecodeError, match=r"longer than 0\.5 s"):
        hasty.look(HOSTILE)
    hasty.close()
    assert _children() == []


def test_a_process_that_somebody_else_ended_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    _arm(monkeypatch, "kill")
    monkeypatch.setenv(faults.ONCE_VARIABLE, str(tmp_path))
    decoders = DecoderProcesses(1, PATIENCE_S)
    assert decoders.look(HOSTILE) == look(HOSTILE)
    decoders.close()
    assert list(tmp_path.iterdir()), "the first process did die"
