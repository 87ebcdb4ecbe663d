"""The report of a training: comparison, intervals, data checks, charts, and the page that holds them."""

from __future__ import annotations

import html.parser
import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.detector import conftest

from boxwright import boxes
from boxwright.detector.data import dataset
from boxwright.detector.evaluation import comparison, data_checks, evaluate, intervals, report
from boxwright.learning import charts

LABELS = conftest.LABELS


def _truth(*rows: tuple[int, float, float, float, float]) -> evaluate.GroundTruth:
    table = np.asarray(rows, np.float64).reshape(-1, 5)
    return evaluate.GroundTruth(table[:, 1:].astype(np.float32), table[:, 0].astype(np.int64))


def _found(*rows: tuple[int, float, float, float, float, float]) -> boxes.Detections:
    table = np.asarray(sorted(rows, key=lambda row: -row[1]), np.float64).reshape(-1, 6)
    return boxes.Detections(
        table[:, 2:].astype(np.float32), table[:, 1].astype(np.float32), table[:, 0].astype(np.int64)
    )


LEFT, RIGHT, FAR = (0.0, 0.0, 0.2, 0.2), (0.5, 0.0, 0.7, 0.2), (0.0, 0.7, 0.2, 0.9)


def test_found_confused_missed_and_imagined_are_told_apart():
    truth = _truth((0, *LEFT), (0, *RIGHT), (1, *FAR))
    found = _found((0, 0.9, *LEFT), (1, 0.8, *RIGHT), (1, 0.7, 0.8, 0.8, 1.0, 1.0), (0, 0.2, *FAR))
    one = comparison.compare(truth, found, 0.5)
    assert one.pairs.tolist() == [[0, 0], [0, 1]]
    assert one.missed.tolist() == [1]
    assert one.imagined.tolist() == [1] and one.imagined_rows.tolist() == [2]
    assert one.cost == pytest.approx(1 + 1 + 0.7)
    assert comparison.confusion([one, one], 2).tolist() == [[2, 2, 0], [0, 0, 2], [0, 2, 0]]


def test_the_same_label_is_paired_before_a_better_placed_other_one():
    one = comparison.compare(_truth((0, *LEFT)), _found((1, 0.9, *LEFT), (0, 0.6, 0.0, 0.0, 0.2, 0.15)), 0.5)
    assert one.pairs.tolist() == [[0, 0]] and one.imagined.tolist() == [1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_box_and_every_detection_is_counted_once(draw):
    def one_box():
        x, y = draw.draw(st.floats(0, 0.7)), draw.draw(st.floats(0, 0.7))
        return x, y, x + 0.05 + draw.draw(st.floats(0, 0.25)), y + 0.05 + draw.draw(st.floats(0, 0.25))

    truth = _truth(*((draw.draw(st.integers(0, 1)), *one_box()) for _ in range(draw.draw(st.integers(0, 5)))))
    found = _found(
        *(
            (draw.draw(st.integers(0, 1)), draw.draw(st.floats(0, 1)), *one_box())
            for _ in range(draw.draw(st.integers(0, 6)))
        )
    )
    one = comparison.compare(truth, found, 0.5)
    table = comparison.confusion([one], 2)
    assert table[:2].sum() == len(truth.label_indices)
    assert table[:, :2].sum() == len(found.keep(0.5, 100))
    assert table[2, 2] == 0


def test_intervals_hold_the_average_precision_and_narrow_with_more_images():
    rng = np.random.default_rng(3)

    def spread(images: int) -> float:
        ground_truth = [_truth((0, *LEFT), (0, *RIGHT)) for _ in range(images)]
        found = [
            _found(*((0, float(rng.uniform(0.3, 1)), *place) for place in (LEFT, RIGHT, FAR) if rng.random() < 0.6))
            for _ in range(images)
        ]
        curves = evaluate.label_curves(2, ground_truth, found)
        result = intervals.average_precision_intervals(curves, images)
        low, high = result["labels"][0]
        assert low < evaluate.coco_average_precisions(curves[0])[0] < high
        assert result["map50"] == result["labels"][0]  # the other label has no boxes
        assert result["labels"][1] is None and result["replicates"] == intervals.REPLICATES
        return high - low

    assert spread(400) < 0.6 * spread(40)


def test_with_every_image_once_the_bootstrap_is_the_evaluation():
    rng = np.random.default_rng(5)
    ground_truth = [_truth((0, *LEFT), (1, *RIGHT)) for _ in range(30)]
    found = [
        _found(*((int(rng.integers(2)), float(rng.random()), *place) for place in (LEFT, RIGHT, FAR)))
        for _ in range(30)
    ]
    for curve in evaluate.label_curves(2, ground_truth, found):
        exact = evaluate.coco_average_precisions(curve)[0]
        assert intervals._weighted_precision(curve, np.ones(30, np.int64)) == pytest.approx(exact, abs=1e-12)
        doubled = intervals._weighted_precision(curve, np.full(30, 2))
        assert doubled == pytest.approx(exact, abs=1e-12)


def _noisy(images: int, hit_rate: float, seed: int) -> list[boxes.Detections]:
    rng = np.random.default_rng(seed)
    return [
        _found(*((0, float(rng.uniform(0.3, 1)), *place) for place in (LEFT, RIGHT) if rng.random() < hit_rate))
        for _ in range(images)
    ]


def test_drawings_score_as_validation_does_and_vary_less_with_more_images():
    spreads = []
    for images in (7, 48):
        ground_truth, found = [_truth((0, *LEFT), (0, *RIGHT))] * images, _noisy(images, 0.6, 1)
        one = intervals.resample(2, ground_truth, found)
        assert one.score == pytest.approx(sum(evaluate.quick_scores(2, ground_truth, found)) / 2, abs=1e-12)
        assert one.drawings.shape == (intervals.DRAWINGS,) and 0 <= one.drawings.min() <= one.drawings.max() <= 1
        spreads.append(one.drawings.std())
    assert spreads[1] < 0.6 * spreads[0]


def test_a_choice_is_surer_with_a_larger_lead_and_with_more_images():
    def certainty(images: int, rate: float, lead: float = 0.0) -> float:
        ground_truth = [_truth((0, *LEFT), (0, *RIGHT))] * images
        chosen, other = (
            intervals.resample(1, ground_truth, _noisy(images, one, seed)) for seed, one in enumerate((0.8, rate))
        )
        return intervals.agreement(chosen, [(other, lead)])

    assert certainty(60, 0.2) == 1.0 > certainty(60, 0.7) > 0.5
    assert certainty(60, 0.2, lead=2.0) == 0.0
    same = intervals.resample(1, [_truth((0, *LEFT))] * 5, _noisy(5, 0.5, 0))
    assert intervals.agreement(same, [(same, 0.0)]) == 0.5 and intervals.agreement(same, []) == 1.0


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (25, "from 25 TEST images with 50 boxes. With other images of the same kind, mAP at 0.5 would lie between 0."),
        (4, "Only 4 images with objects: the true range is wider still."),
        (1, "from 1 TEST image with 2 boxes"),
    ],
)
def test_a_sentence_says_how_sure_an_evaluation_is(images, said):
    curves = evaluate.label_curves(1, [_truth((0, *LEFT), (0, *RIGHT))] * images, _noisy(images, 0.7, 2))
    interval = intervals.average_precision_intervals(curves, images)["map50"]
    sentence = intervals.in_words("TEST", images, curves, interval)
    assert said in sentence and ("wider still" in sentence) == (images < intervals.FEW_IMAGES)
    assert "no TEST image has a box" in intervals.in_words("TEST", images, [], None)


def test_an_evaluation_without_boxes_has_no_intervals():
    result = intervals.average_precision_intervals(evaluate.label_curves(2, [_truth()], [_found((0, 0.9, *LEFT))]), 1)
    assert result == {"replicates": 0, "map50": None, "labels": [None, None]}


def _splits(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> dataset.Splits:
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in drawn.rows))
    return dataset.resolve_splits(dataset.read_examples(tmp_path / "examples.jsonl"))


def test_statistics_count_every_label_in_every_set(drawn, tmp_path):
    splits = _splits(drawn, tmp_path)
    square, disc = data_checks.label_statistics(LABELS, splits, (100, 120))
    assert sum(square.boxes.values()) == sum(disc.boxes.values()) == 24
    assert square.images["TRAIN"] == len(splits.train)
    assert 24 <= square.median_side_px <= 45 and square.tiny_share == 0.0


def test_small_data_small_objects_and_lopsided_labels_are_said(tmp_path):
    rows = []
    for number in range(60):
        squares = [[0, x / 100, 0.1, x / 100 + 0.02, 0.12] for x in range(0, 90, 3)]
        disc = [[1, 0.5, 0.5, 0.9, 0.9]] if number < 5 else []
        row = {"uri": f"gs://b/{number}", "sha256": f"{number:064}", "ml_use": "TRAIN", "boxes": squares + disc}
        rows.append(row if number else {**row, "boxes": []})
    rows += [{**rows[7], "uri": "gs://b/copy", "ml_use": "TEST"}]
    splits = _splits(conftest.Drawn({}, rows), tmp_path)
    said = data_checks.concerns(splits, data_checks.label_statistics(LABELS, splits, (288, 384)))
    assert said[0].startswith("1 image is in more than one set") and "gs://b/7" in said[0]
    assert "only" in said[1] and "training images" in said[1]
    assert any("to learn from: disc (" in one for one in said)
    assert any("to be judged by: disc (0)" in one for one in said)
    assert any("unbalanced: square" in one for one in said)
    assert any("100% of square have a side below 8 pixels" in one for one in said)
    assert any("1 of" in one and "have no box" in one for one in said)


def test_sure_detections_without_a_box_hint_at_missing_labels():
    truth, found = _truth((0, *LEFT)), _found((0, 0.95, *LEFT), (0, 0.9, *FAR))
    (said,) = data_checks.unlabelled([truth] * 4, [found] * 4, [f"gs://b/{n}" for n in range(4)])
    assert said.startswith("4 sure detections in 4 of the evaluated images") and "gs://b/0" in said
    assert data_checks.unlabelled([truth] * 4, [_found((0, 0.95, *LEFT), (0, 0.5, *FAR))] * 4, ["a"] * 4) == []


def test_where_labels_have_gaps_all_scores_are_low_and_half_of_them_are_sure():
    truth, found = _truth((0, *LEFT)), _found((0, 0.5, *LEFT), (0, 0.55, *FAR), (0, 0.2, 0.8, 0.8, 1.0, 1.0))
    (said,) = data_checks.unlabelled([truth] * 4, [found] * 4, [f"gs://b/{n}" for n in range(4)])
    assert said.startswith("4 sure detections")  # as sure as the right ones; those at 0.2 are not
    unsure = _found((0, 0.1, *LEFT), (0, 0.2, *FAR))  # a network that is sure of nothing hints at nothing
    assert data_checks.unlabelled([truth] * 4, [unsure] * 4, ["a"] * 4) == []
    assert data_checks.unlabelled([_truth()] * 4, [_found((0, 0.5, *FAR))] * 4, ["a"] * 4) == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (15.0, 3075.0, [1000.0, 2000.0, 3000.0]),
        (1.0, 41.0, [10.0, 20.0, 30.0, 40.0]),
        (0.0, 2.49, [0.0, 0.5, 1.0, 1.5, 2.0]),
        (7.0, 8.0, [7.0, 7.2, 7.4, 7.6, 7.8, 8.0]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_a_chart_stays_inside_its_frame_and_thins_long_lines():
    points = [(float(x), float(x % 7)) for x in range(5000)]
    kept = charts.thinned(points)
    assert len(kept) <= charts.MAX_POINTS + 1 and kept[0] == points[0] and kept[-1] == points[-1]
    drawn = charts.line_chart([charts.Series("<b>", points)], x_label="x", y_label="y", y_limits=(0.0, 1.0))
    assert "<b>" not in drawn and "&lt;b&gt;" in drawn
    numbers = drawn.split('points="')[1].split('"')[0].replace(",", " ").split()
    assert all(0 <= float(one) <= charts.WIDTH for one in numbers[::2])
    assert all(0 <= float(one) <= charts.HEIGHT for one in numbers[1::2])
    assert "nothing to draw" in charts.line_chart([charts.Series("a", [])], x_label="", y_label="", y_limits=None)


class _Tags(html.parser.HTMLParser):
    """Counts tags and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _facts(drawn: conftest.Drawn, tmp_path: pathlib.Path, found: list[boxes.Detections]) -> report.ReportFacts:
    splits = _splits(drawn, tmp_path)
    examples = list(splits.train)[: len(found)]
    ground_truth = [evaluate.GroundTruth(one.boxes_norm, one.label_indices) for one in examples]
    return report.ReportFacts(
        title="A <training>",
        summary=[("steps", "40")],
        warnings=["An image is left out of training."],
        labels=LABELS,
        splits=splits,
        input_hw=(96, 96),
        history={"losses": [[1, 2.0, 1.0, 0.5], [2, 1.0, 0.5, 0.25]], "checks": [[2, 0.5, 0.25]]},
        evaluation=evaluate.evaluate(LABELS, ground_truth, found, split="TEST"),
        evaluated=examples,
        ground_truth=ground_truth,
        detections=found,
    )


def test_the_page_shows_the_worst_images_first_and_nests_its_tags(drawn, tmp_path):
    facts = _facts(drawn, tmp_path, [boxes.Detections.none()] * 3)
    exact = facts.ground_truth[0]
    perfect = boxes.Detections(exact.boxes_norm, np.asarray([0.9, 0.8], np.float32), exact.label_indices)
    facts = _facts(drawn, tmp_path, [perfect, boxes.Detections.none(), boxes.Detections.none()])
    told = report.write(tmp_path / "report.html", facts, drawn.read, lambda: True)
    page = (tmp_path / "report.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.counts["figure"] == 2 and page.count("<b>2 missed</b>") == 2  # the perfect image is not among them
    assert facts.evaluated[0].uri not in page
    assert "A &lt;training&gt;" in page and told.concerns[0] in page
    assert told.certainty in page and told.interval is not None
    assert any("training images" in one for one in told.concerns[1:])


def test_pictures_are_left_out_when_time_is_up_or_the_image_is_gone(drawn, tmp_path):
    facts = _facts(drawn, tmp_path, [boxes.Detections.none()] * 2)
    report.write(tmp_path / "late.html", facts, drawn.read, lambda: False)
    assert "The budget ended" in (tmp_path / "late.html").read_text()

    def gone(uri: str) -> bytes:
        raise LookupError(uri)

    report.write(tmp_path / "gone.html", facts, gone, lambda: True)
    assert "<figure" not in (tmp_path / "gone.html").read_text()


def test_text_of_the_data_cannot_become_markup(drawn, tmp_path):
    labels = [{**LABELS[0], "display_name": "<script>x</script>"}, LABELS[1]]
    facts = _facts(drawn, tmp_path, [boxes.Detections.none()])
    found = [boxes.Detections(np.asarray([[0, 0, 1, 1]], np.float32), np.asarray([0.9], np.float32), np.zeros(1, int))]
    facts = report.ReportFacts(**{**vars(facts), "labels": labels, "detections": found})
    facts.evaluation["extras"]["labels"][0]["display_name"] = labels[0]["display_name"]
    report.write(tmp_path / "page.html", facts, drawn.read, lambda: True)
    assert "<script" not in (tmp_path / "page.html").read_text()
