"""report.html: one page for a person, which needs nothing else. Without scripts it shows fixed thresholds only."""

from __future__ import annotations

import dataclasses
import html
import json
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import Any

from boxwright.batch.report import figures
from boxwright.batch.report.findings import THRESHOLDS, UNFAMILIAR_SHARE, Findings
from boxwright.batch.report.leaders import RankedImage
from boxwright.batch.report.thumbnails import Thumbnail
from boxwright.inference import baseline

LABEL_NEXT_TITLE = "Uncertain images"
MOST_LABELS = 40  # in tables and charts, those with the most candidates
MOST_LISTED = 20
_FOLDER = pathlib.Path(__file__).parent
_PAGE = string.Template((_FOLDER / "report.html").read_text(encoding="utf-8"))
_STYLE, _SCRIPT = ((_FOLDER / f"report.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js"))
_ODDITIES = {
    "one_colour": "have a single colour, as the network sees them",
    "tiny": "are less than 64 pixels high or wide",
    "whole_image_box": "have a box over more than 95 % of them",
    "many_boxes": "have more than 100 boxes",
}


@dataclasses.dataclass(frozen=True)
class ContactSheet:
    """The pictures of the page: groups of images with their titles, and those that could be read, by content."""

    groups: Sequence[tuple[str, Sequence[RankedImage]]]
    thumbnails: Mapping[bytes, Thumbnail]


def made(findings: Findings, names: Sequence[str], threshold: float, sheet: ContactSheet, has_boxes: bool) -> bytes:
    """The page.

    Args:
        findings: what was found.
        names: display names of the labels.
        threshold: of the job, from which results are drawn.
        sheet: the pictures.
        has_boxes: whether results are boxes, and not labels of whole images.
    """
    said = findings.document
    what = "boxes" if has_boxes else "labels"
    shown = sorted(range(len(names)), key=lambda label: (-sum(said["score_histograms"][label]), label))[:MOST_LABELS]
    title = f"Results of {_short(said['model']['name'])}"
    text = _PAGE.substitute(
        title=html.escape(title),
        style=_STYLE,
        summary=_summary(said, threshold),
        concerns=_concerns(said),
        numbers_note=html.escape(
            f"How many {what} have at least a score. Scores below {said['candidate_floor']:g} were not kept."
        ),
        slider=_slider(threshold),
        numbers_head=_numbers_head(),
        numbers=_numbers(said, names, shown),
        scores=_score_charts(said, names, shown, findings),
        quality=html.escape(said["quality"]["sentence"]),
        drift=html.escape(said["drift"]["sentence"]),
        drift_charts=_drift_charts(said),
        foreign=_foreign(said),
        label_next_title=LABEL_NEXT_TITLE,
        label_next=_label_next(said),
        duplicates=_duplicates(said),
        oddities=_oddities(said),
        failures=_failures(said),
        sheet_note=html.escape(f"{what.capitalize()} from {threshold:g} on. Pictures were read again for this page."),
        sheet=_sheet(sheet, names, threshold),
        script=_script(said, shown),
    )
    return text.encode("utf-8", "replace")


def _short(name: str) -> str:
    return name.rpartition("/")[2] or "a model"


def _summary(said: Mapping[str, Any], threshold: float) -> str:
    pairs = [
        ("images", f"{said['images']:,}"),
        ("failed", f"{said['failed']:,}"),
        (f"with a result at {threshold:g}", f"{said['images_with_result']:,}"),
        ("spare copies", f"{said['duplicates']['spare_images']:,}"),
        ("model", _short(said["model"]["name"])),
    ]
    return "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in pairs)


def _concerns(said: Mapping[str, Any]) -> str:
    sentences = []
    total = said["images"] + said["failed"]
    if said["failed"]:
        sentences.append(f"{said['failed']:,} of {total:,} images failed; see the errors below.")
    if said["drift"]["level"] in ("some", "much"):
        how = "much" if said["drift"]["level"] == "much" else "somewhat"
        sentences.append(
            f"The images or results differ {how} from the test images of the model; see the comparison below."
        )
    if said["foreign"]["images"] and said["foreign"]["images"] > 2 * UNFAMILIAR_SHARE * said["images"]:
        sentences.append(f"{said['foreign']['images']:,} images are unlike those that the model knows.")
    if said["duplicates"]["spare_images"]:
        sentences.append(
            f"{_many(said['duplicates']['spare_images'], 'spare copy', 'spare copies')} of images; see duplicates.csv."
        )
    if said["same_boxes"]:
        sentences.append("The same box is in very many images: a watermark, dirt, or a thing that never moves?")
    if not sentences:
        return "<p>Nothing looks wrong.</p>"
    return "<ul>" + "".join(f'<li class="warn">{html.escape(one)}</li>' for one in sentences) + "</ul>"


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _slider(threshold: float) -> str:
    return (
        '<div class="slider" id="slide" hidden><label for="threshold">Threshold</label>'
        f'<input type="range" id="threshold" min="0" max="99" value="{min(99, round(threshold * 100))}">'
        '<output id="shown" for="threshold"></output></div>'
    )


def _numbers_head() -> str:
    cells = "".join(f'<th scope="col">{threshold:g}</th>' for threshold in THRESHOLDS)
    return f'<tr><th scope="col">label</th><th scope="col" class="now" hidden>at the slider</th>{cells}</tr>'


def _numbers(said: Mapping[str, Any], names: Sequence[str], shown: Sequence[int]) -> str:
    rows = []
    for place, label in enumerate(shown):
        cells = "".join(f"<td>{count:,}</td>" for count in said["labels"][label]["at"])
        rows.append(
            f'<tr><th scope="row">{html.escape(names[label])}</th><td class="now" id="now-{place}" hidden></td>{cells}</tr>'
        )
    best = said["images_by_best_score"]
    cells = "".join(f"<td>{sum(best[round(100 * threshold) : 100]):,}</td>" for threshold in THRESHOLDS)
    whole = '<tr class="all"><th scope="row">images with any</th><td class="now" id="now-images" hidden></td>'
    left_out = len(names) - len(shown)
    note = f'<tr><th scope="row">{left_out:,} more labels are in report.json</th></tr>' if left_out else ""
    return "".join([*rows, note, f"{whole}{cells}</tr>"])


def _script(said: Mapping[str, Any], shown: Sequence[int]) -> str:
    data = {"labels": [said["score_histograms"][label] for label in shown], "images": said["images_by_best_score"]}
    encoded = json.dumps(data, separators=(",", ":"))  # numbers only: nothing in it can end the element
    return f'<script type="application/json" id="counts">{encoded}</script>\n<script>\n{_SCRIPT}</script>'


def _score_charts(said: Mapping[str, Any], names: Sequence[str], shown: Sequence[int], findings: Findings) -> str:
    charts = []
    first = round(max(said["candidate_floor"], baseline.FLOOR) * baseline.SCORE_BINS)
    for label in [one for one in shown if sum(said["score_histograms"][one])][:12]:
        counts = said["score_histograms"][label]
        bins = [sum(counts[start : start + 5]) for start in range(0, 100, 5)][first:]
        of_test = None
        if findings.reference is not None:
            of_test = findings.reference.profile.scores[label][first:].tolist()
        charts.append(figures.histogram(names[label], bins, (f"score {first / 20:g}", "1"), of_test))
    return f'<h3>Scores by label</h3>{_key(findings.reference is not None)}<div class="charts">{"".join(charts)}</div>'


def _key(has_test: bool) -> str:
    test = '<b class="of-test"></b>test images of the model' if has_test else ""
    return f'<p class="key"><b></b>this job {test}</p>'


def _drift_charts(said: Mapping[str, Any]) -> str:
    charts = []
    for one in said["drift"]["features"]:
        if "counts" not in one:
            continue
        feature = baseline.FEATURES[one["name"]]
        title = f"{feature.words}: {one['mean']:.3g}, test {one['test_mean']:.3g} (index {one['stability_index']:.2f})"
        ends = (f"below {feature.edges[0]:g}", f"from {feature.edges[-1]:g}")
        charts.append(figures.histogram(title, one["counts"], ends, one["test_counts"]))
    if not charts:
        return ""
    note = (
        "<p>The index is the population stability index: below 0.1 nothing has changed, above 0.25 much has. Differences "
        "that chance explains count as none.</p>"
    )
    return f'{note}{_key(True)}<div class="charts">{"".join(charts)}</div>'


def _foreign(said: Mapping[str, Any]) -> str:
    foreign = said["foreign"]
    note = (
        "In images like those that it has learned from, a model finds few things and is sure of them. In foreign ones it "
        "finds nothing, or many things of which it is sure of none. Images with nothing in them look the same."
    )
    count = ""
    if foreign["images"] is not None:
        count = (
            f"<p>{foreign['images']:,} images have a confidence below {foreign['below']:g}, which at most 5 % of the test "
            "images have.</p>"
        )
    return f"<p>{note}</p>{count}{_details('The least sure images', foreign['first'], 'confidence')}"


def _details(title: str, rows: Sequence[Mapping[str, Any]], key: str) -> str:
    if not rows:
        return ""
    items = "".join(f"<li>{one[key]:.2f} <code>{html.escape(one['id'])}</code></li>" for one in rows[:MOST_LISTED])
    return f"<details><summary>{html.escape(title)}</summary><ol>{items}</ol></details>"


def _label_next(said: Mapping[str, Any]) -> str:
    rows = said["label_next"]
    if not rows:
        return "<p>There is no image of which the model is unsure.</p>"
    note = (
        f"The {len(rows)} images of <code>label_next.csv</code>: the model is unsure of them, and they differ from each "
        "other. <code>prelabels.csv</code> has what was found in them; import it with <code>reviewed=false</code>, correct "
        "it, and import the corrected rows."
    )
    return f"<p>{note}</p>{_details('The most uncertain images', rows, 'uncertainty')}"


def _duplicates(said: Mapping[str, Any]) -> str:
    counts = said["duplicates"]
    text = f"{_many(counts['equal_groups'], 'group', 'groups')} of images with equal bytes"
    if counts["is_known"]:
        text += f", {_many(counts['near_groups'], 'group', 'groups')} of images that look nearly equal"
    else:
        text += (
            "; whether images look nearly equal cannot be said, because the candidates do not tell what they look like"
        )
    windows = f" Each two million images were compared with each other ({counts['windows']} times)."
    return f"<p>{text}.{windows if counts['windows'] > 1 else ''}</p>"


def _oddities(said: Mapping[str, Any]) -> str:
    parts = []
    for name, words in _ODDITIES.items():
        one = said["oddities"][name]
        if one["images"]:
            items = "".join(f"<li><code>{html.escape(image)}</code></li>" for image in one["examples"])
            parts.append(f"<details><summary>{one['images']:,} {words}</summary><ul>{items}</ul></details>")
    for one in said["same_boxes"][:MOST_LISTED]:
        box = ", ".join(f"{corner:.2f}" for corner in one["box"])
        parts.append(f"<p>About {one['images']:,} images have the same box: {html.escape(one['label'])} at {box}.</p>")
    return "".join(parts) or "<p>Nothing.</p>"


def _failures(said: Mapping[str, Any]) -> str:
    rows = []
    for one in said["failures"][:MOST_LISTED]:
        examples = "<br>".join(f"<code>{html.escape(image)}</code>" for image in one["examples"])
        rows.append(
            f'<tr><th scope="row">{one["code"]}</th><td>{one["images"]:,}</td>'
            f'<td class="text">{html.escape(one["message"])}</td><td class="text">{examples}</td></tr>'
        )
    if not rows:
        return "<p>Every image could be predicted.</p>"
    head = '<th scope="col">code</th><th scope="col">images</th>'
    head += "".join(f'<th scope="col" class="text">{name}</th>' for name in ("message", "for instance"))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Errors"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _sheet(sheet: ContactSheet, names: Sequence[str], threshold: float) -> str:
    parts = []
    for title, images in sheet.groups:
        shown = "".join(
            figures.picture(image, sheet.thumbnails, names, threshold, f"{image.size_wh[0]} x {image.size_wh[1]} px")
            for image in images
        )
        if shown:
            parts.append(f'<h3>{html.escape(title)}</h3><div class="grid">{shown}</div>')
    return "".join(parts) or "<p>No image was predicted.</p>"
