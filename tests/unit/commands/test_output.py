"""Tables, fields and numbers as commands print them."""

from __future__ import annotations

import pytest

from boxwright.commands import output


def test_columns_stand_below_one_another_whatever_the_script(capsys):
    output.print_table(("NAME", "IMAGES"), [("東京", "5"), ("e\u0301te", "1,200"), ("a\x1b[2Jb", "")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["NAME       IMAGES", "東京            5", "e\u0301te         1,200", "a\\x1b[2Jb"]
    assert {output.width(line) for line in lines[:3]} == {17}


def test_a_table_without_rows_is_nothing(capsys):
    output.print_table(("NAME",), [])
    assert capsys.readouterr().out == ""


def test_fields_leave_out_what_is_empty(capsys):
    output.print_fields({"name": "a", "images": 0, "description": "", "labels": None, "note": "one\ntwo"})
    assert capsys.readouterr().out == "name:   a\nimages: 0\nnote:   one\\ntwo\n"


@pytest.mark.parametrize(
    "value, shown",
    [
        (500.0, 500),
        (0.5, 0.5),
        ([64.0, 96.0], [64, 96]),
        ({"a": {"b": 127.0}}, {"a": {"b": 127}}),
        (True, True),
        (float("inf"), float("inf")),
        ("500.0", "500.0"),
        (None, None),
    ],
)
def test_whole_numbers_of_a_struct_have_no_point(value, shown):
    assert repr(output.plain(value)) == repr(shown)


@pytest.mark.parametrize(
    "seconds, with_tenths, shown",
    [
        (0, False, "0 s"),
        (3.2, False, "3 s"),
        (3.2, True, "3.2 s"),
        (0, True, "0.0 s"),
        (9.96, True, "10 s"),
        (59.6, True, "1 min 00 s"),
        (3257.6, False, "54 min 18 s"),
        (7260, True, "2 h 01 min"),
    ],
)
def test_durations_in_words(seconds, with_tenths, shown):
    assert output.duration(seconds, with_tenths=with_tenths) == shown


@pytest.mark.parametrize(
    "text, columns, shown", [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("東京都", 5, "東京…"), ("東京都", 4, "東…")]
)
def test_what_is_too_wide_is_cut(text, columns, shown):
    assert output.cut(text, columns) == shown
    assert output.width(shown) <= columns


def test_times_are_shown_to_the_second():
    assert output.moment("2026-01-01T12:00:00.123456Z") == "2026-01-01 12:00:00Z"
    assert output.moment("unknown") == "unknown"


def test_control_characters_do_not_reach_the_terminal():
    assert output.safe("a\x1b]0;x\x07\u2028b\nc\udcff") == "a\\x1b]0;x\\x07\\u2028b\nc\\udcff"
