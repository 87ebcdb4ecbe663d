"""Compiled networks kept beside the model: the same answers, and no trouble from what is spoilt, foreign or not writable."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil

import numpy as np
import pytest
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

from boxwright.inference import compiled_cache, openvino_runtime
from boxwright.inference.predictor import Predictor


@pytest.fixture
def folder(tiny_model: TinyModel, tmp_path: pathlib.Path) -> pathlib.Path:
    """A model of one's own, as it was before anybody opened it."""
    ignored = shutil.ignore_patterns(compiled_cache.FOLDER)
    return pathlib.Path(shutil.copytree(tiny_model.folder, tmp_path / "model", ignore=ignored))


def _open(folder: pathlib.Path, **options) -> Predictor:
    return Predictor.open(folder, streams=1, keep_compiled=True, **options)


def _kept(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / compiled_cache.FOLDER).iterdir())


def _answer(predictor: Predictor) -> tuple[bytes, bytes]:
    raw = predictor.infer(predictor.prepare(drawn_images.draw(7).content))
    return raw.boxes_px.tobytes(), raw.scores.tobytes()


def test_a_kept_network_gives_the_same_bits_and_is_not_compiled_again(folder, monkeypatch):
    first = _answer(_open(folder))
    (path,) = _kept(folder)

    def compiles(*arguments):
        raise AssertionError("the network was compiled again")

    monkeypatch.setattr(openvino_runtime, "read_model", compiles)
    assert _answer(_open(folder)) == first
    assert _kept(folder) == [path]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_what_is_damaged_is_compiled_again(folder, damage, caplog):
    first = _answer(_open(folder))
    (path,) = _kept(folder)
    whole = path.read_bytes()
    if damage == "foreign":  # intact, and yet nothing that the runtime can read
        compiled_cache.Compiled(folder, "x").write(b"no network")
        (other,) = (one for one in _kept(folder) if one != path)
        os.replace(other, path)
    else:
        path.write_bytes({"cut": whole[:500], "flipped": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}[damage])
    assert _answer(_open(folder)) == first
    assert "event=compiled_network_" in caplog.text
    again = path.read_bytes()
    assert hashlib.sha256(again[compiled_cache.DIGEST_BYTES :]).digest() == again[: compiled_cache.DIGEST_BYTES]
    assert len(again) > 1000


def test_other_options_and_other_networks_have_their_own(folder):
    _open(folder)
    Predictor.open(folder, streams=2, keep_compiled=True)
    assert len(_kept(folder)) == 2
    assert compiled_cache.Compiled(folder, "another network", "2026").read() is None


def test_without_asking_nothing_is_kept(folder):
    Predictor.open(folder, streams=1)
    assert not (folder / compiled_cache.FOLDER).exists()


def test_a_folder_that_cannot_be_written_to_is_no_trouble(folder, monkeypatch):
    def refused(*arguments, **values):
        raise PermissionError("read-only")

    monkeypatch.setattr(pathlib.Path, "mkdir", refused)
    reference = _answer(Predictor.open(folder, streams=1))
    assert _answer(_open(folder)) == reference
    assert not (folder / compiled_cache.FOLDER).exists()


def test_only_so_many_are_kept_and_nothing_half_written(folder):
    for number in range(compiled_cache.MAX_FILES + 3):
        one = compiled_cache.Compiled(folder, str(number))
        one.write(np.int64(number).tobytes())
        assert one.read() == np.int64(number).tobytes()
    names = [path.name for path in _kept(folder)]
    assert len(names) == compiled_cache.MAX_FILES
    assert not [name for name in names if name.startswith("part")]
