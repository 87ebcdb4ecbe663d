"""The whole report of folders that have nothing, strange names, or candidates of an earlier version."""

from __future__ import annotations

import html.parser
import json
import pathlib

import numpy as np
import pytest
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tables import detections, table_of

from boxwright import errors
from boxwright.batch.output import candidates, manifest, sidecars
from boxwright.batch.output.candidates import CandidatesOrigin, CandidateTable
from boxwright.batch.output.manifest import REPORT_FILES
from boxwright.batch.output.sink import Sink
from boxwright.batch.report.reporting import Reporter, ReportStoppedError
from boxwright.images import appearance

HOSTILE = "</script><b onclick='x'>\"&"


def _folder(
    root: pathlib.Path, tables: list[CandidateTable], labels=("cat", "dog"), **values
) -> tuple[Bench, Reporter]:
    """A finished folder of candidates, and what reports on it."""
    bench = Bench(root)
    listed = [[str(number), name] for number, name in enumerate(labels)]
    spec = bench.spec(
        labels=listed, candidate_floor=0.05, report=True, model="projects/p/locations/l/models/m", **values
    )
    origin = CandidatesOrigin(spec.kind, spec.model, "d", 0.05, listed)
    sink = Sink(spec, bench.stores)
    for shard, table in enumerate(tables, 1):
        made = {sidecars.CANDIDATES: candidates.to_parquet(table, origin)}
        failure = errors.not_found("gs://b/none.jpg does not exist.").status
        sink.commit(
            shard, [b"{}\n"] * len(table), [b'{"ID":"gs://b/none.jpg","status":{"code":5}}\n'], [failure], beside=made
        )
    reporter = Reporter(spec, bench.stores, root / "no-model", None, lambda: False)
    rows = sum(len(table) + 1 for table in tables)
    sink.close("SUCCEEDED", rows_read=rows, duplicates=0, model_digest="d", report=reporter.report)
    return bench, reporter


def _said(bench: Bench):
    return json.loads(bench.output()["report/report.json"])


def test_images_in_which_nothing_was_found_have_a_report(tmp_path):
    looks = [np.array([(n, 100.0, 5.0)], appearance.RECORD).tobytes() for n in range(3)]
    bench, _ = _folder(tmp_path, [table_of(looks)])
    said = _said(bench)
    assert (said["images"], said["images_with_result"], said["images_by_best_score"][100]) == (3, 0, 3)
    assert said["label_next"] == []
    assert manifest.examine(bench.stores, bench.directory()).problems == []


def test_candidates_that_do_not_say_what_images_look_like_have_a_report_that_says_so(tmp_path):
    bench, _ = _folder(tmp_path, [table_of(found=[detections([(0, 0, 1, 1, 0.5, 0)])] * 2, contents=[b"a", b"a"])])
    said = _said(bench)
    assert said["duplicates"] == {
        "equal_groups": 1,
        "near_groups": 0,
        "spare_images": 1,
        "windows": 1,
        "is_known": False,
    }
    assert said["oddities"]["one_colour"]["images"] == 0
    assert said["oddities"]["whole_image_box"]["images"] == 2
    assert b"cannot be said" in bench.output()["report/report.html"]


class _Elements(html.parser.HTMLParser):
    """Counts the elements of a page, and what they ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.names.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_names_and_addresses_of_any_characters_stay_text(tmp_path):
    table = table_of(found=[detections([(0, 0, 0.5, 0.5, 0.6, 0)])])
    table.ids[0] = f"gs://b/{HOSTILE}.jpg"
    bench, _ = _folder(tmp_path, [table], labels=(HOSTILE, "dog"))
    found = _Elements()
    found.feed(bench.output()["report/report.html"].decode())
    assert found.handlers == []
    assert found.names.count("script") == 2
    assert _said(bench)["label_next"][0]["id"] == table.ids[0]


def test_the_same_box_in_very_many_images_is_named(tmp_path):
    found = [
        detections([(0.802, 0.902, 0.951, 0.982, 0.9, 1), (n / 200, 0.1, n / 200 + 0.2, 0.4, 0.8, 0)])
        for n in range(80)
    ]
    bench, _ = _folder(tmp_path, [table_of(found=found[:40]), table_of(found=found[40:], first=40)])
    (same,) = _said(bench)["same_boxes"]
    assert (same["label"], same["images"]) == ("dog", 80)
    assert same["box"] == pytest.approx([0.802, 0.902, 0.951, 0.982], abs=0.01)


def test_very_many_labels_make_a_small_page(tmp_path):
    table = table_of(found=[detections([(0, 0, 0.5, 0.5, 0.6, label)]) for label in range(0, 3000, 30)])
    bench, _ = _folder(tmp_path, [table], labels=[f"label-{number}" for number in range(3000)])
    page = bench.output()["report/report.html"]
    assert len(page) < 300_000
    assert b"more labels are in report.json" in page


def test_reports_of_equal_folders_are_equal_and_a_damaged_one_leaves_nothing(tmp_path):
    tables = [table_of(found=[detections([(0, 0, 1, 1, 0.4 + n / 100, 0)]) for n in range(9)])]
    first, second = (_folder(tmp_path / name, tables)[0].output() for name in "ab")
    assert {name: first[name] for name in REPORT_FILES} == {name: second[name] for name in REPORT_FILES}
    bench, reporter = _folder(tmp_path / "c", tables)
    (file,) = (bench.bucket / "job" / "candidates").iterdir()
    file.write_bytes(b"PAR1 damaged")
    said = manifest.Manifest.from_json(bench.output()["manifest.json"])
    assert reporter.report(said) == []
    assert not [name for name in bench.output() if name.startswith("report")]


def test_a_job_that_should_stop_has_no_report(tmp_path):
    bench, reporter = _folder(tmp_path, [table_of(found=[detections([])])])
    reporter._should_stop = lambda: True
    with pytest.raises(ReportStoppedError):
        reporter.report(manifest.Manifest.from_json(bench.output()["manifest.json"]))
