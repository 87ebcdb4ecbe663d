"""Pages, rankings and counts of folders that a sink has written: with candidates, without, older, and growing."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tables import detections, table_of

from boxwright import curation_messages as pb
from boxwright import errors
from boxwright.batch.output import candidates, sidecars
from boxwright.batch.output.candidates import CandidatesOrigin, CandidateTable
from boxwright.batch.output.score_counts import STEPS, ScoreCounts, at_least
from boxwright.batch.output.sink import Sink
from boxwright.batch.report import label_next
from boxwright.batch.report.reporting import Reporter
from boxwright.batch.results import folder, listing, ranking, summary
from boxwright.batch.results.cache import RecentCache
from boxwright.batch.results.listing import FoundImage, Place, Source
from boxwright.batch.results.wanted import ResultSelection, Threshold
from boxwright.services import filters
from boxwright.services.result_lists import BatchJobFacts, ResultReader

KIND = "image_object_detection"
LABELS = [["1", "cat"], ["2", "dog"]]
JOB = Threshold(0.5, {}, None, 100)
BOX = (0.1, 0.1, 0.5, 0.5)
# scores and labels of the images of three shards
FOUND = [
    [[(0.9, 0), (0.3, 1)], [], [(0.55, 1)]],
    [[(0.49, 0)], [(0.8, 1), (0.7, 1), (0.6, 0)]],
    [[(0.2, 0)], [(1.0, 0), (0.5, 0)]],
]


def _tables() -> list[CandidateTable]:
    tables, first = [], 0
    for shard in FOUND:
        found = [detections([(*BOX, score, label) for score, label in image]) for image in shard]
        tables.append(table_of(found=found, first=first))
        first += len(shard)
    return tables


def _source(
    root: pathlib.Path,
    *,
    has_candidates: bool = True,
    is_closed: bool = True,
    spoil: Any = lambda content: content,
    has_report: bool = False,
) -> Source:
    """A folder of those shards; in each of them, one image more has failed."""
    bench = Bench(root)
    spec = bench.spec(
        labels=LABELS, candidate_floor=0.05 if has_candidates else None, model="projects/p/locations/l/models/m"
    )
    origin = CandidatesOrigin(spec.kind, spec.model, "d", 0.05, LABELS)
    sink = Sink(spec, bench.stores)
    rows = 0
    for shard, table in enumerate(_tables(), 1):
        kept = {sidecars.CANDIDATES: spoil(candidates.to_parquet(table, origin))} if has_candidates else {}
        lines = sidecars.results(spec, shard, table)[0].splitlines(keepends=True)
        failure = errors.not_found(f"gs://b/none{shard}.jpg does not exist.").status
        line = b'{"ID":"gs://b/none%d.jpg","status":{"code":5,"message":"gs://b/none%d.jpg does not exist."}}\n' % (
            shard,
            shard,
        )
        sink.commit(shard, lines, [line], [failure], beside=kept)
        rows += len(table) + 1
    if is_closed:
        reporter = Reporter(
            dataclasses.replace(spec, report=True), bench.stores, root / "no-model", None, lambda: False
        )
        report = reporter.report if has_report else None
        sink.close("SUCCEEDED", rows_read=rows, duplicates=0, model_digest="d", report=report)
    return Source(bench.stores, folder.opened(bench.stores, bench.directory(), KIND), KIND)


def _wanted(text: str = "", least: float | None = None) -> ResultSelection:
    return ResultSelection(filters.parse(text), JOB if least is None else Threshold(least, {}, None, None))


def _ids(found: Any) -> list[str]:
    ids = [one.shard.table.ids[one.row] if isinstance(one, FoundImage) else one.id for one in found]
    return [text.removeprefix("gs://b/").removesuffix(".jpg") for text in ids]


def _walk(source: Source, wanted: ResultSelection, size: int, skip: int = 0) -> list[str]:
    """All pages, put together."""
    place: Place | None = Place(skip=skip)
    ids: list[str] = []
    for _ in range(50):
        assert place is not None
        found, place = listing.page(source, wanted, place, size)
        assert len(found) <= size
        ids += _ids(found)
        if place is None:
            return ids
    raise AssertionError("the list does not end")


ALL = ["0", "1", "2", "3", "4", "5", "6", "none1", "none2", "none3"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("has_candidates", [True, False])
def test_pages_of_any_size_hold_every_image_once_and_failed_ones_last(
    tmp_path: pathlib.Path, size: int, has_candidates: bool
) -> None:
    source = _source(tmp_path, has_candidates=has_candidates)
    assert source.folder.has_candidates == has_candidates
    assert _walk(source, _wanted(), size) == ALL
    for skip in range(12):
        assert _walk(source, _wanted(), size, skip) == ALL[skip:]
        assert _walk(source, _wanted("has_error=false"), size, skip) == ALL[:7][skip:]
        assert _walk(source, _wanted("has_error=true"), size, skip) == ALL[7:][skip:]


@pytest.mark.parametrize(
    ("text", "least", "wanted"),
    [
        ("label=cat", None, ["0", "4", "6"]),
        ("label=cat", 0.1, ["0", "3", "4", "5", "6"]),
        ("label=dog AND label=cat", None, ["4"]),
        ("label=cat AND score<0.6", None, ["6"]),
        ("label=cat AND score>=0.6 AND score<0.95", None, ["0", "4"]),
        ("score>=0.8", None, ["0", "4", "6"]),
        ("NOT score>=0.8", None, ["2", "4", "6"]),
        ("label=cat AND NOT score>=0.6", None, ["6"]),
        ("NOT label=dog AND label:*", None, ["0", "6"]),
        ("NOT label:*", None, ["1", "3", "5"]),
        ("boxes=0", None, ["1", "3", "5"]),
        ("boxes>=2", None, ["4", "6"]),
        ("boxes>=2", 0.3, ["0", "4", "6"]),
        ("label=bird", None, []),
        ("image_id=none", None, ["none1", "none2", "none3"]),
        ('image_id="b/2"', None, ["2"]),
        ("has_error=true AND image_id=2", None, ["none2"]),
        ("has_error!=true AND boxes=1", None, ["0", "2"]),
        ("has_error=true AND label=cat", None, []),
    ],
)
def test_filters_are_about_what_counts_as_found(
    tmp_path: pathlib.Path, text: str, least: float | None, wanted: list[str]
) -> None:
    source = _source(tmp_path)
    assert _walk(source, _wanted(text, least), 2) == wanted
    assert _walk(source, _wanted(text, least), 100, skip=1) == wanted[1:]


def test_a_call_reads_few_files_and_says_where_to_go_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(tmp_path)
    monkeypatch.setattr(listing, "MOST_SHARDS", 1)
    found, place = listing.page(source, _wanted("label=bird"), Place(), 10)
    assert (found, place) == ([], Place(False, 2, 0, 0))
    assert listing.files_before(source, _wanted("label=bird"), place) == (1, 3)  # failed images have no label
    found, place = listing.page(source, _wanted("boxes>=1"), Place(skip=3), 10)
    assert (_ids(found), place) == ([], Place(False, 2, 0, 1))  # two were left out, one is to be
    assert _walk(source, _wanted("boxes>=1"), 10, skip=3) == ["6"]
    monkeypatch.setattr(listing, "MOST_SHARDS", 100)
    monkeypatch.setattr(listing, "MOST_S", 0)
    found, place = listing.page(source, _wanted("label=bird"), Place(), 10)
    assert (found, place) == ([], Place(False, 2, 0, 0))  # time is up after each shard, and one is read all the same
    assert _walk(source, _wanted("boxes>=1"), 10, skip=3) == ["6"]
    monkeypatch.setattr(listing, "MOST_ERROR_LINES", 1)
    assert _walk(source, _wanted("image_id=none3"), 10) == ["none3"]


def test_a_page_says_how_far_the_list_was_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _source(tmp_path)
    reader, job = ResultReader(), BatchJobFacts(source.kind, JOB)
    monkeypatch.setattr(listing, "MOST_SHARDS", 1)
    monkeypatch.setattr(ranking, "MOST_SHARDS", 1)

    def far(**asked: Any) -> list[tuple[int, int]]:
        found, token = [], ""
        while not found or token:
            page = reader.page(pb.ListResultsRequest(page_token=token, **asked), job, source)
            found.append((page.files_read, page.file_count))
            token = page.token
        return found

    errors_files = len(source.folder.errors_files)
    assert far(filter="score>0.99") == [(1, 3), (2, 3), (3, 3)]
    assert far(filter="has_error=true") == [(errors_files, errors_files)]
    assert far()[-1] == (3 + errors_files, 3 + errors_files)
    assert far(order_by="score desc") == [(1, 3), (2, 3), (3, 3)]
    assert far(order_by="score desc") == [(3, 3)]  # it is ranked


def test_skipping_reads_only_the_shard_that_is_wanted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _source(tmp_path)
    read = []
    monkeypatch.setattr(
        Source, "read", lambda self, file, whole=Source.read: read.append(file.number) or whole(self, file)
    )
    found, _ = listing.page(source, _wanted(), Place(skip=5), 2)
    assert (_ids(found), read) == (["5", "6"], [3])


def test_an_image_is_found_by_its_place(tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path)
    assert _ids([listing.image_at(source, _wanted(), Place(False, 2, 1))]) == ["4"]
    assert _ids([listing.image_at(source, _wanted(), Place(True, 1, 2))]) == ["none3"]
    for place in (Place(False, 2, 2), Place(False, 9, 0), Place(True, 1, 3), Place(True, 2, 0)):
        assert listing.image_at(source, _wanted(), place) is None


def _ranked(source: Source, order: str, *, is_turned: bool, text: str = "", least: float | None = None) -> list[str]:
    made = ranking.Ranking(_wanted(text, least), order, is_turned=is_turned)
    while not made.is_complete:
        made.extend(source)
    ids, start = [], 0
    while start < len(made):
        found, passed = made.page(source, start, 2)
        assert 1 <= passed <= 2
        ids += _ids(found)
        start += passed
    return ids


def test_orders_rank_all_shards_with_ties_in_the_order_of_the_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(tmp_path)
    monkeypatch.setattr(ranking, "MOST_SHARDS", 1)
    monkeypatch.setattr(ranking, "MOST_SHARDS_OF_PAGE", 1)
    assert _ranked(source, "score", is_turned=True) == ["6", "0", "4", "2", "1", "3", "5"]
    assert _ranked(source, "score", is_turned=False) == ["2", "4", "0", "6", "1", "3", "5"]
    assert _ranked(source, "boxes", is_turned=True) == ["4", "6", "0", "2", "1", "3", "5"]
    assert _ranked(source, "boxes", is_turned=True, least=0.2) == ["4", "0", "6", "2", "3", "5", "1"]
    assert _ranked(source, "score", is_turned=True, text="label=cat") == ["6", "0", "4"]
    assert _ranked(source, "score", is_turned=True, text="has_error=true") == []
    monkeypatch.setattr(ranking, "MOST_RANKED", 2)
    assert _ranked(source, "score", is_turned=True) == ["6", "0"]


def test_an_order_does_not_depend_on_how_far_a_call_comes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(tmp_path)
    at_once = {order: _ranked(source, order, is_turned=True) for order in ranking.ORDERS}
    monkeypatch.setattr(listing, "MOST_S", 0)
    monkeypatch.setattr(listing, "READERS", 1)
    slow = ranking.Ranking(_wanted(), "score", is_turned=True)
    slow.extend(source)
    assert (slow.shards_read, slow.is_complete) == (1, False)
    assert {order: _ranked(source, order, is_turned=True) for order in ranking.ORDERS} == at_once


def test_thresholds_of_labels_are_a_list_of_their_own(tmp_path: pathlib.Path) -> None:
    """The same score for all labels, asked for explicitly, is not what the job has published."""
    source = _source(tmp_path)
    reader, job = ResultReader(), BatchJobFacts(source.kind, Threshold(0.2, {"cat": 0.99, "dog": 0.99}, None, None))

    def boxes(score_threshold: float, token: str = "") -> int:
        asked = pb.ListResultsRequest(order_by="boxes desc", score_threshold=score_threshold, page_token=token)
        found = reader.page(asked, job, source).found
        return sum(int(np.diff(one.results.offsets)[one.row]) for one in found if isinstance(one, FoundImage))

    assert boxes(0) < boxes(0.2)
    assert boxes(0) < boxes(0.2)  # from what is kept
    token = reader.page(pb.ListResultsRequest(order_by="boxes desc", page_size=2), job, source).token
    with pytest.raises(errors.ApiError, match="page token"):
        boxes(0.2, token)


def test_uncertain_images_come_as_the_report_ranks_them(tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path)
    pool = label_next.Pool(2)
    for table in _tables():
        pool.add(table)
    counts = np.bincount(np.concatenate([table.label_indices for table in _tables()]), minlength=2)
    chosen = [one.image.id.removeprefix("gs://b/").removesuffix(".jpg") for one in pool.chosen(counts)]
    ranked = _ranked(source, "uncertainty", is_turned=True)
    assert ranked[: len(chosen)] == chosen
    assert sorted(ranked) == ALL[:7]
    filtered = _ranked(source, "uncertainty", is_turned=True, text="boxes>=1")
    assert set(filtered) == {"0", "2", "4", "6"}
    image = listing.image_at(source, _wanted(), Place(False, 2, 0))
    assert isinstance(image, FoundImage)
    assert ranking.reason_of(image) == (pytest.approx(4 * 0.49 * 0.51, abs=1e-4), "unsure of cat (0.49)")


def _expected() -> ScoreCounts:
    """The counts by plain loops."""
    counts = ScoreCounts(images=7)
    for image in (image for shard in FOUND for image in shard):
        for name, label in (("cat", 0), ("dog", 1)):
            scores = [round(score * 100) for score, one in image if one == label]
            for row in (counts.found, counts.best_of_label):
                row.setdefault(name, np.zeros(STEPS, np.int64))
            for score in scores:
                counts.found[name][score] += 1
            if scores:
                counts.best_of_label[name][max(scores)] += 1
        if image:
            counts.best[max(round(score * 100) for score, _ in image)] += 1
    return counts


def _same(mine: ScoreCounts, others: ScoreCounts) -> bool:
    return mine.images == others.images and all(
        np.array_equal(a, b)
        for a, b in [
            (mine.best, others.best),
            *((mine.found[name], others.found[name]) for name in ("cat", "dog")),
            *((mine.best_of_label[name], others.best_of_label[name]) for name in ("cat", "dog")),
        ]
    )


def test_a_report_has_the_counts_of_all_candidates(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _source(tmp_path, has_report=True)
    listed = folder.with_sizes(source.stores, source.folder)
    monkeypatch.setattr(summary, "_counts", lambda *given: pytest.fail("a file of candidates was read"))
    found = summary.summarized(source.stores, listed, KIND)
    assert _same(found.counts, _expected())
    assert (found.counts.images, found.floor, found.failed, found.reason) == (7, 0.05, 3, "")
    assert "report/report.json" in dict(found.files)


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"score_counts": {"images": 7}}', "changed"])
def test_a_report_that_is_gone_or_changed_is_not_believed(tmp_path: pathlib.Path, content: Any) -> None:
    source = _source(tmp_path, has_report=True)
    path = next(tmp_path.rglob("report.json"))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b'"images": 7', b'"images": 8') if content == "changed" else content)
    listed = folder.with_sizes(source.stores, source.folder)
    assert _same(summary.summarized(source.stores, listed, KIND).counts, _expected())


def test_counts_are_summed_from_the_ends_of_the_files(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _source(tmp_path)
    monkeypatch.setattr(summary.shard, "read", lambda *given: pytest.fail("a whole file was read"))
    listed = folder.with_sizes(source.stores, source.folder)
    found = summary.summarized(source.stores, listed, KIND)
    assert _same(found.counts, _expected())
    assert (found.floor, found.failed, found.reason) == (0.05, 3, "")
    assert [(one["code"], one["images"]) for one in found.failures] == [("NOT_FOUND", 3)]
    assert at_least(found.counts.best)[:21:20] == [6, 6]
    assert at_least(found.counts.best)[100] == 1
    assert [name for name, _ in found.files][:2] == ["errors_1.jsonl", "manifest.json"]
    assert dict(found.files)["candidates/image_object_detection_2.parquet"] > 100
    assert ScoreCounts.from_values(found.counts.to_values()).to_values() == found.counts.to_values()


def test_older_files_are_summed_from_their_rows(tmp_path: pathlib.Path) -> None:
    def older(content: bytes) -> bytes:
        return content.replace(b'"score_counts"', b'"score_c0unts"')

    source = _source(tmp_path, spoil=older)
    assert _same(
        summary.summarized(source.stores, folder.with_sizes(source.stores, source.folder), KIND).counts, _expected()
    )


def test_a_folder_without_candidates_is_counted_by_its_lines(tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path, has_candidates=False)
    found = summary.summarized(source.stores, folder.with_sizes(source.stores, source.folder), KIND)
    assert (found.counts.images, at_least(found.counts.found["cat"])[0], at_least(found.counts.best)[50]) == (7, 4, 4)
    assert found.reason == folder.NONE_KEPT


def test_a_growing_folder_says_what_its_finished_shards_say(tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path, is_closed=False)
    assert (source.folder.is_final, source.folder.has_candidates, source.folder.images) == (False, True, -1)
    assert _walk(source, _wanted(), 2) == ALL[:7]
    found = summary.summarized(source.stores, source.folder, KIND)
    assert _same(found.counts, _expected())
    assert found.reason == folder.NOT_YET


def test_damaged_files_are_said_and_not_taken_for_empty_ones(tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path, spoil=lambda content: content[: len(content) // 2])
    with pytest.raises(errors.ApiError, match="no file of candidates"):
        listing.page(source, _wanted(), Place(), 10)
    with pytest.raises(errors.ApiError, match="no file of candidates"):
        summary.summarized(source.stores, folder.with_sizes(source.stores, source.folder), KIND)


def test_the_cache_drops_what_was_used_longest_ago() -> None:
    kept: RecentCache[int] = RecentCache(10, lambda value: value)
    for key, value in (("a", 4), ("b", 5)):
        kept.put(key, value)
    assert kept.get("a") == 4
    kept.put("c", 3)
    assert (kept.get("b"), kept.get("a"), kept.get("c"), len(kept)) == (None, 4, 3, 2)
    kept.put("d", 11)
    assert (kept.get("d"), len(kept)) == (None, 2)
