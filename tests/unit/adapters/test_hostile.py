"""Hostile files: what can be refused by reading is refused so, in a sentence, without touching anything else."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from tests.support.networks import hostile_onnx

from boxwright.adapters import label_list, source

BY_RUNNING = (*hostile_onnx.SLOW, "huge_constant", "expanded", "nested_branches", "huge_image")


@pytest.mark.parametrize("name", [name for name in hostile_onnx.FILES if name not in BY_RUNNING])
def test_a_hostile_file_is_refused_by_reading_it(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hostile.onnx"
    path.write_bytes(hostile_onnx.FILES[name]())
    with pytest.raises(source.Refused) as refused:
        found = source.read(path)
        label_list.checked(label_list.of_metadata(found.metadata))
    assert len(str(refused.value)) > 30
    assert str(tmp_path) not in str(refused.value)


def test_reading_a_network_needs_no_training_library() -> None:
    program = (
        "import sys, boxwright.adapters.model_making; print([one for one in ('torch', 'nncf') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_there_are_thirty() -> None:
    assert len(hostile_onnx.FILES) >= 30
