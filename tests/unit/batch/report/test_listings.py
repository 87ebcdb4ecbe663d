"""Lists of a report: rows that an import takes or refuses as they should, and errors grouped by what they say."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from tests.support.predictions.tables import detections, table_of

from boxwright.batch.report import listings
from boxwright.batch.report.failures import MOST_GROUPS, OTHERS, FailureGroups, without_address
from boxwright.batch.report.label_next import UncertainImage
from boxwright.batch.report.leaders import Leaders, RankedImage
from boxwright.runners import box_rows, import_rows

NAMES = ["cat", 'Käse, "alt"']


def _images(*found, ids=None) -> list[RankedImage]:
    table = table_of(found=found)
    leaders = Leaders(10)
    if ids:
        table.ids[:] = ids
    leaders.add(table, np.arange(len(found), 0, -1).astype(float))
    return leaders.ranked()


def _rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def test_prelabels_are_rows_that_an_import_takes():
    images = _images(
        detections([(0.1, 0.2, 0.5, 0.6, 0.9, 1), (0.3, 0.3, 0.305, 0.9, 0.8, 0), (0, 0, 1, 1, 0.2, 0)]), detections([])
    )
    content, left_out = listings.prelabels(images, NAMES, 0.5)
    parsed = [box_rows.parse(row) for row in _rows(content)]
    assert [(row.uri, [one.label for one in row.annotations]) for row in parsed] == [
        ("gs://b/0.jpg", [NAMES[1]]),
        ("gs://b/1.jpg", []),
    ]
    assert parsed[0].annotations[0].box == pytest.approx((0.1, 0.2, 0.5, 0.6), abs=1e-6)
    assert left_out == 0


def test_members_of_archives_are_left_out_of_prelabels():
    images = _images(detections([]), detections([]), ids=["gs://b/all.tar#dir/a.jpg", "gs://b/a#b.jpg"])
    content, left_out = listings.prelabels(images, NAMES, 0.5)
    assert [row[1] for row in _rows(content)] == ["gs://b/a#b.jpg"]
    assert left_out == 1


def test_images_to_label_next_are_no_rows_of_an_import_because_an_empty_row_would_say_that_nothing_is_there():
    images = _images(detections([(0.1, 0.2, 0.5, 0.6, 0.5, 1)]))
    rows = _rows(listings.label_next([UncertainImage(images[0], 0.75, 1), UncertainImage(images[0], 0.5, -1)], NAMES))
    assert rows == [["gs://b/0.jpg", "1", "0.750000", NAMES[1]], ["gs://b/0.jpg", "2", "0.500000", ""]]
    for row in rows:
        with pytest.raises(import_rows.BadRow):
            box_rows.parse(row)


def _line(image: str, message: str, code: int = 5) -> bytes:
    return json.dumps({"ID": image, "status": {"code": code, "message": message}}).encode()


def test_errors_are_grouped_without_addresses_and_numbers():
    groups = FailureGroups()
    groups.add(_line(f"gs://b/{n}.jpg", f"gs://b/{n}.jpg does not exist.") for n in range(40))
    groups.add([_line("gs://b/x", f"gs://b/x: The image has {n} bytes; at most 30000000.", 3) for n in (31_000_000, 7)])
    missing, large = groups.listed()
    assert (missing["code"], missing["message"], missing["images"]) == ("NOT_FOUND", "… does not exist.", 40)
    assert missing["examples"] == ["gs://b/0.jpg", "gs://b/1.jpg", "gs://b/2.jpg"]
    assert (large["message"], large["images"]) == ("The image has # bytes; at most #.", 2)
    assert without_address("like gs://b/ä.jpg", "gs://b/x") == "like …"


def test_very_many_different_messages_are_counted_as_one():
    groups = FailureGroups()
    names = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(500)]
    groups.add(_line("gs://b/x", f"message {name}") for name in names)
    listed = groups.listed()
    assert len(listed) == MOST_GROUPS + 1
    assert (listed[0]["message"], listed[0]["images"]) == (OTHERS, 500 - MOST_GROUPS)
