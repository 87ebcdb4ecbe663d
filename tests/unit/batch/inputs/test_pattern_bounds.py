"""Which keys a pattern can still match behind a given one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright.batch.inputs import addresses
from boxwright.batch.inputs.addresses import InputAddress
from boxwright.objects import listing

LETTERS = "ab/0.-é\U0001f600"
PARTS = st.text("ab0.-é\U0001f600***", min_size=1, max_size=5).filter(lambda part: part not in (".", ".."))
PATTERNS = (
    st.lists(PARTS, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda pattern: "*" in pattern and pattern.count("**") <= addresses.MAX_DEEP_WILDCARDS)
)
KEYS = st.lists(st.text(LETTERS, min_size=1, max_size=10), max_size=60, unique=True)


def _parsed(pattern: str) -> InputAddress:
    (found,) = addresses.parse(f"gs://b/{pattern}", ["gs"])
    return found


BOUNDS = [
    ("2026-*/cam1/*.jpg", "", "2026-"),
    ("2026-*/cam1/*.jpg", "1999/a.jpg", "2026-"),
    ("2026-*/cam1/*.jpg", "2026-01/cam0/a.jpg", "2026-01/cam1/"),
    ("2026-*/cam1/*.jpg", "2026-01/cam1/a.jpg", "2026-01/cam1/a.jpg"),
    ("2026-*/cam1/*.jpg", "2026-01/cam1/deep/a.jpg", "2026-01/cam1/deep0"),
    ("2026-*/cam1/*.jpg", "2026-01/cam10/a.jpg", "2026-010"),
    ("2026-*/cam1/*.jpg", "2027", None),
    ("in/*/x/y/a.jpg", "in/1/x/y/b.jpg", "in/10"),
    ("in/*/x/y/a.jpg", "in/1/x/y/a.jpg", "in/1/x/y/a.jpg"),
    ("in/*-x/*.jpg", "in/1-y/a.jpg", "in/1-y0"),
    ("in/*-x/*.jpg", "in/1-y", "in/1-y"),
    ("in/*", "in/sub/a.jpg", "in/sub0"),
    ("in/*/", "in/sub/a/b", "in/sub/a/b"),
    ("in/a**/b*", "in/b", None),
    ("in/a**/b*", "in/ax/y/z", "in/ax/y/z"),
    ("é*/1/*.jpg", "a/1/x.jpg", "é"),
]


@pytest.mark.parametrize(("pattern", "key", "bound"), BOUNDS)
def test_a_bound_is_the_next_key_that_may_match(pattern, key, bound):
    assert _parsed(pattern).bounds(key) == bound


@given(PATTERNS, KEYS)
def test_no_key_before_a_bound_matches(pattern, keys):
    address = _parsed(pattern)
    fitting = [key for key in keys if address.pattern.fullmatch(key)]
    for key in ["", *keys]:
        bound = address.bounds(key)
        behind = [other.encode() for other in fitting if other.encode() >= key.encode()]
        if bound is None:
            assert not behind
        else:
            assert bound.encode() >= key.encode()
            assert all(other >= bound.encode() for other in behind)


@given(PATTERNS, KEYS, st.integers(1, 5), st.booleans(), st.data())
def test_seeking_finds_what_looking_at_every_key_finds_in_no_more_pages(pattern, keys, size, is_simple, data):
    address = _parsed(pattern)
    keys = sorted((key for key in keys if key.startswith(address.uri.key)), key=str.encode)
    after = data.draw(st.sampled_from(["", *keys]))
    asked = 0

    def listed(start):
        nonlocal asked
        found = keys if is_simple else [key for key in keys if key.encode() > start.encode()]
        for number in range(0, max(1, len(found)), size):
            asked += 1
            yield found[number : number + size]

    pages = listing.ordered_pages(listing.sought(listed, address.uri.key, after, address.bounds), after)
    found = [key for page in pages for key in page if address.pattern.fullmatch(key)]
    assert found == [key for key in keys if key.encode() > after.encode() and address.pattern.fullmatch(key)]
    if not is_simple:
        behind = [key for key in keys if key.encode() > after.encode()]
        assert asked <= max(1, -(-len(behind) // size))
