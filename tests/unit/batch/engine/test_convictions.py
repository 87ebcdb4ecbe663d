"""Convictions belong to the job: every process of it leaves the same images out with the same words."""

from __future__ import annotations

import json

from boxwright.batch.engine import convictions
from boxwright.batch.engine.convictions import Convictions
from boxwright.batch.engine.in_flight import Journal, suspects


def test_what_one_process_adds_every_later_one_knows(tmp_path):
    first = Convictions(tmp_path)
    assert first.read() == {}
    crashed, hung = convictions.crashed("gs://b/ä.jpg"), convictions.hung("gs://b/2.jpg", 2.5)
    first.add("gs://b/ä.jpg", crashed)
    first.add("gs://b/2.jpg", hung)
    assert Convictions(tmp_path).read() == {"gs://b/ä.jpg": crashed, "gs://b/2.jpg": hung}
    assert (crashed.code, hung.code) == (13, 4) and "longer than 2.5 s" in hung.message
    journal = Journal(tmp_path, 2)
    assert journal.convicted == first.read()
    journal.close()


def test_what_version_0_1_0_has_convicted_stays_convicted(tmp_path):
    (tmp_path / "convicted.json").write_text(json.dumps({"gs://b/1.jpg": [13, "it crashes"]}))
    found = Convictions(tmp_path).read()["gs://b/1.jpg"]
    assert (found.code, found.message) == (13, "it crashes")


def test_a_convicted_image_is_no_suspect(tmp_path):
    journal = Journal(tmp_path, 2)
    with journal.watched("gs://b/1.jpg"), journal.watched("gs://b/2.jpg"):
        Convictions(tmp_path).add("gs://b/1.jpg", convictions.crashed("gs://b/1.jpg"))
        assert suspects(tmp_path) == ["gs://b/2.jpg"]
    journal.close()
