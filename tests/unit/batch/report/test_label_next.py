"""Uncertain images: those with undecided candidates come first, rare labels before frequent ones, no two alike."""

from __future__ import annotations

import numpy as np
from tests.support.predictions.tables import detections, table_of

from boxwright.batch.report import label_next, leaders
from boxwright.images import appearance

BOX = (0.1, 0.1, 0.5, 0.5)


def _looks(hashes) -> list[bytes]:
    return [np.array([(int(one), 100.0, 5.0)], appearance.RECORD).tobytes() for one in hashes]


def _chosen(found, hashes=None, counts=(1000, 1000)) -> list[str]:
    hashes = np.random.default_rng(0).integers(0, 1 << 63, len(found)) if hashes is None else hashes
    pool = label_next.Pool(len(counts))
    table = table_of(_looks(hashes), found)
    pool.add(table)
    return [one.image.id for one in pool.chosen(np.array(counts))]


def test_uncertainty_is_that_at_least_one_candidate_is_undecided():
    found = [
        detections([(*BOX, 0.5, 0)]),
        detections([(*BOX, 0.99, 0)]),
        detections([(*BOX, 0.25, 0), (*BOX, 0.75, 1)]),
        detections([]),
    ]
    u = label_next.uncertainties(table_of(found=found))
    assert np.allclose(u, [1.0, 0.0, 1 - 0.25 * 0.25, 0.0], atol=1e-5)


def test_what_is_decided_is_not_proposed_and_the_most_undecided_is_first():
    found = [detections([(*BOX, score, 0)]) for score in (0.99, 0.5, 0.3, 0.16, 0.05)]
    chosen = _chosen(found)
    assert chosen[0] == "gs://b/1.jpg"
    assert set(chosen) == {"gs://b/1.jpg", "gs://b/2.jpg", "gs://b/3.jpg"}


def test_a_rare_label_comes_before_a_frequent_one():
    found = [detections([(*BOX, 0.45, 0)]), detections([(*BOX, 0.45, 1)])]
    assert _chosen(found, counts=(100_000, 3))[0] == "gs://b/1.jpg"
    assert _chosen(found, counts=(3, 100_000))[0] == "gs://b/0.jpg"


def test_images_that_look_the_same_are_proposed_once():
    found = [detections([(*BOX, 0.5, 0)])] * 5
    assert len(_chosen(found, hashes=[7, 7, 7, 1 << 60 | 0xFF0, 7])) == 2


def test_at_most_a_hundred_are_proposed_whatever_the_order_of_the_images():
    rng = np.random.default_rng(3)
    found = [detections([(*BOX, float(score), 0)]) for score in rng.uniform(0.15, 0.75, 300)]
    hashes = rng.integers(0, 1 << 63, 300)
    pools = []
    for order in (np.arange(300), rng.permutation(300)):
        pool = label_next.Pool(2)
        whole = [(found[row], hashes[row], b"%d" % row) for row in order]
        for first in range(0, 300, 70):
            part = whole[first : first + 70]
            table = table_of(
                _looks([one[1] for one in part]), [one[0] for one in part], contents=[one[2] for one in part]
            )
            pool.add(table)
        pools.append([one.image.sha256 for one in pool.chosen(np.array([300, 0]))])
    assert pools[0] == pools[1]
    assert len(set(pools[0])) == label_next.COUNT


def test_leaders_keep_the_first_by_key_and_each_content_once():
    found = leaders.Leaders(3)
    keys = np.array([5.0, 1.0, 9.0, 9.0, 7.0])
    contents = [b"a", b"b", b"c", b"c", b"d"]
    for first in range(0, 5, 2):
        found.add(table_of(found=[detections([])] * len(contents[first : first + 2]), contents=contents[first : first + 2]),
                  keys[first : first + 2])  # fmt: skip
    assert [one.key for one in found.ranked()] == [9.0, 7.0, 5.0]
