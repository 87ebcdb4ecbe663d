"""Reading results, comparing them with labels, and the page that shows both."""

from __future__ import annotations

import html.parser
import io
import json
import pathlib

import pytest
from google.cloud import automl_v1
from PIL import Image
from rich import console as rich_console

from boxwright.demo import contact_sheet, dataset, kinds, progress, results, table

CAT = dataset.Box("cat", 0.1, 0.1, 0.5, 0.5)
DOG = dataset.Box("dog", 0.5, 0.5, 0.9, 0.9)
DETECTION, CLASSIFICATION = kinds.KINDS["detection"], kinds.KINDS["classification"]


def _annotation(box: dataset.Box, score: float) -> dict[str, object]:
    corners = [{"x": box.x_min, "y": box.y_min}, {"x": box.x_max, "y": box.y_max}]
    detection = {"bounding_box": {"normalized_vertices": corners}, "score": score}
    return {"annotation_spec_id": "1", "display_name": box.label, "image_object_detection": detection}


def test_results_are_read_in_the_order_of_the_shards(tmp_path: pathlib.Path) -> None:
    def write(name: str, *lines: object) -> None:
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))

    write("image_object_detection_1.jsonl", {"ID": "gs://demo/b.jpg", "annotations": [_annotation(CAT, 0.9)]})
    write("image_object_detection_2.jsonl", {"ID": "gs://demo/a.jpg", "annotations": []})
    write("errors_1.jsonl", {"ID": "gs://demo/c.jpg", "status": {"code": 5, "message": "not there"}})
    found = results.read_results(tmp_path)
    assert list(found.predictions) == ["gs://demo/b.jpg", "gs://demo/a.jpg"]
    assert found.predictions["gs://demo/b.jpg"] == (results.Prediction.of_box(CAT, 0.9),)
    assert found.errors == {"gs://demo/c.jpg": "not there"}


def test_a_coordinate_or_score_of_zero_may_be_left_out(tmp_path: pathlib.Path) -> None:
    detection = {"bounding_box": {"normalized_vertices": [{}, {"x": 0.5, "y": 1}]}}
    line = {"ID": "i", "annotations": [{"display_name": "cat", "image_object_detection": detection}]}
    (tmp_path / "image_object_detection_1.jsonl").write_text(json.dumps(line))
    assert results.read_results(tmp_path).predictions["i"] == (
        results.Prediction.of_box(dataset.Box("cat", 0, 0, 0.5, 1), 0.0),
    )


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ((), (), (0, 0, 0)),  # nothing there, nothing said
        ((), ((CAT, 0.9),), (0, 0, 1)),  # an empty image with a finding
        ((CAT,), (), (0, 1, 0)),  # missed
        ((CAT, DOG), ((CAT, 0.9), (DOG, 0.8)), (2, 0, 0)),  # all right
        ((CAT,), ((CAT, 0.9), (CAT, 0.8)), (1, 0, 1)),  # found twice
        ((CAT,), ((CAT, 0.49),), (0, 1, 0)),  # below the threshold
        ((CAT,), ((dataset.Box("dog", 0.1, 0.1, 0.5, 0.5), 0.9),), (0, 1, 1)),  # right place, wrong label
        ((CAT,), ((dataset.Box("cat", 0.4, 0.4, 0.8, 0.8), 0.9),), (0, 1, 1)),  # right label, wrong place
    ],
)
def test_predictions_are_compared_with_labels(
    labels: tuple[dataset.Box, ...],
    predictions: tuple[tuple[dataset.Box, float], ...],
    expected: tuple[int, int, int],
) -> None:
    made = tuple(results.Prediction.of_box(box, score) for box, score in predictions)
    assert results.compare(labels, made, 0.5) == results.Comparison(*expected)


def _evaluation(label: str, ap50: float, boxes: int) -> automl_v1.ModelEvaluation:
    entries = [
        automl_v1.BoundingBoxMetricsEntry(
            iou_threshold=threshold,
            mean_average_precision=ap,
            confidence_metrics_entries=[
                automl_v1.BoundingBoxMetricsEntry.ConfidenceMetricsEntry(
                    confidence_threshold=0.5, precision=0.75, recall=0.25
                )
            ],
        )
        for threshold, ap in ((0.45, 0.1), (0.5, ap50), (0.55, 0.1))
    ]
    return automl_v1.ModelEvaluation(
        display_name=label,
        evaluated_example_count=7,
        image_object_detection_evaluation_metrics=automl_v1.ImageObjectDetectionEvaluationMetrics(
            evaluated_bounding_box_count=boxes,
            bounding_box_metrics_entries=entries,
            bounding_box_mean_average_precision=0.3,
        ),
    )


def test_the_table_shows_the_labels_and_then_all_of_them() -> None:
    evaluations = [_evaluation("", 0.85, 12), _evaluation("dog", 0.8, 5), _evaluation("cat", 0.9, 7)]
    rows = table.in_order(map(DETECTION.row, evaluations))
    assert [row.label for row in rows] == ["cat", "dog", "all labels"]
    assert rows[2].cells == ("all labels", "7", "12", "0.850", "0.300", "0.750", "0.250")
    text = io.StringIO()
    rich_console.Console(file=text, width=100).print(table.render(DETECTION.headings, rows))
    assert "AP@0.5" in text.getvalue()


def test_the_page_starts_where_f1_is_best() -> None:
    overall = _evaluation("", 0.85, 12)
    at = overall.image_object_detection_evaluation_metrics.bounding_box_metrics_entries[1].confidence_metrics_entries
    assert DETECTION.best_confidence(overall) == (0.5, 0.0)  # nothing was found at all
    at.append({"confidence_threshold": 0.35, "f1_score": 0.75})
    at.append({"confidence_threshold": 0.96, "f1_score": 0.25})
    assert DETECTION.best_confidence(overall) == (0.35, 0.75)


class _Page(html.parser.HTMLParser):
    """Counts what a page holds and collects what it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, str]] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values.get("class") or ""))
        address = values.get("src") or values.get("href") or "data:"
        if not address.startswith("data:"):
            self.foreign.append(address)

    def count(self, tag: str, kind: str = "") -> int:
        return sum(seen == tag and kind in classes.split() if kind else seen == tag for seen, classes in self.tags)


def test_the_page_shows_every_image_and_needs_nothing_else(tmp_path: pathlib.Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 60), (120, 90, 60)).save(tmp_path / name)
    pictures = (dataset.DemoImage("TEST", "a.png", (CAT, DOG)), dataset.DemoImage("TEST", "b.png", ()))
    found = results.Results(
        {
            "gs://demo/a.png": (results.Prediction.of_box(CAT, 0.9), results.Prediction.of_box(DOG, 0.2)),
            "gs://demo/b.png": (),
        },
        {"gs://demo/<c>.jpg": "no & such file"},
    )
    facts = contact_sheet.PageFacts(
        "What was found", [("mAP@0.5", "0.9")], [DETECTION.row(_evaluation("cat", 0.9, 1))], 0.5
    )
    data = dataset.DataSet(tmp_path, pictures)
    contact_sheet.write_contact_sheet(tmp_path / "index.html", DETECTION, data, found, facts)
    text = (tmp_path / "index.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.count("figure") == 2
    assert (page.count("g", "truth"), page.count("g", "hit"), page.count("g", "hidden")) == (2, 2, 1)
    assert page.foreign == []
    assert "1 of 2 found" in text
    assert "nothing to find" in text
    assert "gs://demo/&lt;c&gt;.jpg" in text
    assert "no &amp; such file" in text


def _classified(label: str, *entries: tuple[float, float, float]) -> automl_v1.ModelEvaluation:
    """An evaluation with entries of (threshold, recall at 1, F1)."""
    metrics = automl_v1.ClassificationEvaluationMetrics(
        au_prc=0.9,
        au_roc=0.95,
        confidence_metrics_entry=[
            {"confidence_threshold": t, "recall_at1": r, "f1_score": f, "precision": 0.75, "recall": 0.25}
            for t, r, f in entries
        ],
    )
    return automl_v1.ModelEvaluation(
        display_name=label, evaluated_example_count=7, classification_evaluation_metrics=metrics
    )


def test_a_classifiers_evaluations_are_a_table_and_a_figure(tmp_path: pathlib.Path) -> None:
    overall = _classified("", (0.0, 0.8, 0.3), (0.5, 0.6, 0.7), (0.9, 0.2, 0.1))
    rows = table.in_order(map(CLASSIFICATION.row, [overall, _classified("cat", (0.5, 0.6, 0.7))]))
    assert rows[1].cells == ("all labels", "7", "0.900", "0.950", "0.750", "0.250")
    assert len(CLASSIFICATION.headings) == len(rows[0].cells)
    assert CLASSIFICATION.best_confidence(overall) == (0.5, pytest.approx(0.7))
    single = dataset.DataSet(tmp_path, (dataset.DemoImage("TEST", "a", labels=("cat",)),))
    several = dataset.DataSet(tmp_path, (dataset.DemoImage("TEST", "a", labels=("cat", "dog")),))
    assert CLASSIFICATION.quality(single, overall) == ("accuracy", pytest.approx(0.8))
    assert CLASSIFICATION.quality(several, overall) == ("AU-PRC", pytest.approx(0.9))
    kinds_of = [
        CLASSIFICATION.new_dataset("d", data).image_classification_dataset_metadata for data in (single, several)
    ]
    assert [one.classification_type.name for one in kinds_of] == ["MULTICLASS", "MULTILABEL"]


@pytest.mark.parametrize(
    ("own", "is_multilabel", "predictions", "expected"),
    [
        (("cat",), False, (("cat", 0.4), ("dog", 0.3)), ("cat", True)),  # the best one, whatever its score
        (("cat",), False, (("dog", 0.6), ("cat", 0.5)), ("cat", False)),
        (("cat",), False, (), ("cat", False)),
        (("cat", "dog"), True, (("dog", 0.6), ("cat", 0.5)), ("cat, dog", True)),
        (("cat", "dog"), True, (("dog", 0.6), ("cat", 0.4)), ("cat, dog", False)),  # below the threshold
        (("cat",), True, (("dog", 0.6), ("cat", 0.5)), ("cat", False)),  # one too many
        ((), True, (("dog", 0.4),), ("no label", True)),
    ],
)
def test_labels_of_whole_images_are_compared(
    own: tuple[str, ...],
    is_multilabel: bool,
    predictions: tuple[tuple[str, float], ...],
    expected: tuple[str, bool],
    tmp_path: pathlib.Path,
) -> None:
    picture = dataset.DemoImage("TEST", "a.png", labels=own)
    other = dataset.DemoImage("TEST", "b.png", labels=("cat", "dog") if is_multilabel else ("dog",))
    made = tuple(results.Prediction(label, score) for label, score in predictions)
    assert CLASSIFICATION.verdict(dataset.DataSet(tmp_path, (picture, other)), picture, made, 0.5) == expected


def test_progress_without_a_terminal_is_one_line_a_tenth() -> None:
    told: list[int] = []
    show = progress.tenths(lambda percent, note: told.append(percent))
    for percent in (0, 3, 9.9, 10, 27, 28, 100, 100):
        show(percent)
    assert told == [0, 10, 20, 100]


def test_a_step_names_itself_and_its_duration() -> None:
    text = io.StringIO()
    reporter = progress.Reporter(rich_console.Console(file=text, width=100))
    with reporter.step("train") as show:
        show(50)
    assert "train" in text.getvalue()
    assert " 50 %" in text.getvalue()
    assert "done in" in text.getvalue()
