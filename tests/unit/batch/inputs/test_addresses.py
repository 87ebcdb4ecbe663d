"""What the addresses of a batch's inputs mean."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors
from boxwright.batch.inputs import addresses
from boxwright.batch.inputs.addresses import Meaning

MEANINGS = [
    ("gs://b/list.csv", Meaning.FILE, "gs://b/list.csv"),
    ("gs://b/dir", Meaning.FILE, "gs://b/dir"),
    ("gs://b/dir/", Meaning.IMAGES, "gs://b/dir/"),
    ("gs://b/", Meaning.IMAGES, "gs://b/"),
    ("gs://b", Meaning.IMAGES, "gs://b/"),
    ("gs://b/dir/**", Meaning.IMAGES, "gs://b/dir/"),
    ("gs://b/2026-*/*.jpg", Meaning.IMAGES, "gs://b/"),
    ("gs://b/in/2026-*/", Meaning.IMAGES, "gs://b/in/"),
    ("gs://b/lists/part-*.csv", Meaning.FILES, "gs://b/lists/"),
    ("gs://b/lists/*.JSONL.gz", Meaning.FILES, "gs://b/lists/"),
    ("gs://b/**/shard-*.tar", Meaning.FILES, "gs://b/"),
    ("gs://b/a{b}c.csv", Meaning.FILE, "gs://b/a{b}c.csv"),
]


@pytest.mark.parametrize(("text", "meaning", "uri"), MEANINGS)
def test_an_address_means_a_file_a_folder_or_a_pattern_by_its_shape(text, meaning, uri):
    (found,) = addresses.parse(text, ["gs"])
    assert (found.meaning, str(found.uri), found.text) == (meaning, uri, text)


MATCHES = [
    ("gs://b/dir/**", ["dir/a.jpg", "dir/x/y/a.jpg"], ["a.jpg", "dir2/a.jpg"]),
    ("gs://b/dir/*", ["dir/a.jpg"], ["dir/x/a.jpg"]),
    ("gs://b/2026-*/*.jpg", ["2026-01/a.jpg", "2026-/.jpg"], ["2026-01/x/a.jpg", "2026.jpg", "2026-01/a.png"]),
    ("gs://b/**/a*.jpg", ["a.jpg", "x/ab.jpg", "x/y/a.jpg"], ["x/b.jpg", "ba.jpg"]),
    ("gs://b/**.jpg", ["a.jpg", "x/y.jpg"], ["a.png"]),
    ("gs://b/x/**/y/*.jpg", ["x/y/a.jpg", "x/1/2/y/a.jpg"], ["x/xy/a.jpg", "x/y/1/a.jpg"]),
    ("gs://b/cam-*/", ["cam-1/a.jpg", "cam-1/x/a.jpg"], ["cam-1.jpg"]),
    ("gs://b/a.b*c*d", ["a.bcd", "a.bcxcd", "a.bccdd"], ["aXbcd", "a.b/cd", "a.bcdx"]),
    ("gs://b/**a*b", ["a/ab", "ab", "xaxb"], ["a/b"]),
    ("gs://b/a**/b", ["a/b", "ax/y/b"], ["ab"]),
]


@pytest.mark.parametrize(("text", "fitting", "others"), MATCHES)
def test_stars_stand_for_what_is_between_slashes_and_two_for_anything(text, fitting, others):
    (found,) = addresses.parse(text, ["gs"])
    assert [key for key in fitting + others if found.pattern.fullmatch(key)] == fitting


@given(st.text("ab.*", min_size=1, max_size=12), st.lists(st.text("ab.", max_size=12), max_size=20))
def test_within_a_folder_a_pattern_matches_what_shells_match(pattern, names):
    pattern = re.sub(r"\*+", "*", pattern)
    if "*" in pattern and pattern not in (".", ".."):
        (found,) = addresses.parse(f"gs://b/{pattern}", ["gs"])
        for name in names:
            assert bool(found.pattern.fullmatch(name)) == fnmatch.fnmatchcase(name, pattern)


def test_a_pattern_made_to_be_slow_is_not():
    (found,) = addresses.parse("gs://b/" + "*a" * 50 + "b", ["gs"])
    assert not found.pattern.fullmatch("a" * 900)
    with pytest.raises(errors.ApiError, match=r"more than 3 times \*\*"):
        addresses.parse("gs://b/" + "**a" * 4, ["gs"])


BRACES = [
    ("gs://b/s-{000..003}.tar", ["s-000.tar", "s-001.tar", "s-002.tar", "s-003.tar"]),
    ("gs://b/s-{8..11}", ["s-8", "s-9", "s-10", "s-11"]),
    ("gs://b/{a,b}/{1..2}/", ["a/1/", "a/2/", "b/1/", "b/2/"]),
    ("gs://b/{a,}x.csv", ["ax.csv", "x.csv"]),
    ("gs://b/{}{x}{1..}.csv", ["{}{x}{1..}.csv"]),
]


@pytest.mark.parametrize(("text", "keys"), BRACES)
def test_braces_stand_for_several_addresses(text, keys):
    assert [str(found.text) for found in addresses.parse(text, ["gs"])] == [f"gs://b/{key}" for key in keys]


@pytest.mark.parametrize(
    "text",
    ["gs://b/{0..10000}", "gs://b/{5..1}", "gs://b/{1..200}{1..200}", "gs://b/{0..99999999999999999999}", "gs://b*/x"],
)
def test_too_many_addresses_and_patterns_of_buckets_are_refused(text):
    with pytest.raises(errors.ApiError, match="is not a usable gs:// path"):
        addresses.parse(text, ["gs"])


def test_all_addresses_of_a_request_have_a_limit_together():
    assert len(addresses.parse_all(["gs://b/{0001..5000}"] * 2, ["gs"])) == addresses.MAX_ADDRESSES
    with pytest.raises(errors.ApiError, match="There are 10001 addresses"):
        addresses.parse_all(["gs://b/{0001..5000}", "gs://b/{0001..5001}"], ["gs"])
