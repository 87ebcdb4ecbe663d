"""The table of formats is what help and documents show, and what the modules do."""

from __future__ import annotations

import pathlib

import pytest

from boxwright import cli
from boxwright.convert import formats

ROOT = pathlib.Path(__file__).parents[3]


def test_the_document_has_the_table_of_formats() -> None:
    text = (ROOT / "docs" / "convert.md").read_text(encoding="utf-8")
    assert formats.table() in text, f"the table should read:\n{formats.table()}"


def test_help_lists_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["convert", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"what it looks like): {', '.join(formats.READ)}" in shown
    assert f"by its suffix): {', '.join(formats.WRITTEN)}" in shown


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_has_the_functions_that_the_table_promises(name: str) -> None:
    one = formats.FORMATS[name]
    module = one.load()
    assert bool(one.reads) == hasattr(module, "read") == hasattr(module, "recognise")
    assert bool(one.writes) == hasattr(module, "write")
    assert set(one.is_known_by) <= set(one.target_suffixes)


def test_a_suffix_means_one_format() -> None:
    known = [suffix for one in formats.FORMATS.values() for suffix in one.is_known_by]
    assert len(set(known)) == len(known)
