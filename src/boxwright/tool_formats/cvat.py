"""CVAT for images 1.1: one XML file with an element an image; boxes are edges in pixels from 0.

Elements and attributes: https://docs.cvat.ai/docs/manual/advanced/xml_format/. Marks and scores are attributes of a box, as
CVAT's own importers name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax import saxutils

from boxwright import states
from boxwright.tool_formats.pictures import CROWD, DIFFICULT, TRUNCATED, Picture, in_pixels, number

SCORE = "score"
MARKS = {"is_crowd": CROWD, "difficult": DIFFICULT, "truncated": TRUNCATED}
TAIL = "</annotations>\n"
_NAMES = {mark: name for name, mark in MARKS.items()}
_SUBSETS = {states.MlUse.TRAIN: "Train", states.MlUse.VALIDATION: "Validation", states.MlUse.TEST: "Test"}
_PLACES_PX = 9


def head(labels: Iterable[str]) -> str:
    """What stands before the images, with the labels; `TAIL` stands behind them."""
    named = "".join(
        f"    <label><name>{saxutils.escape(label)}</name><attributes></attributes></label>\n" for label in labels
    )
    start = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    return f"{start}  <meta><job><labels>\n{named}  </labels></job></meta>\n"


def image(picture: Picture, image_number: int, name: str) -> Iterator[str]:
    """Yields the lines of an image.

    Args:
        picture: with its size.
        image_number: its id, from 0.
        name: as CVAT names the frame.
    """
    height, width = picture.size_hw or (0, 0)
    subset = f' subset="{_SUBSETS[picture.split]}"' if picture.split in _SUBSETS else ""
    yield f'  <image id="{image_number}" name={_quoted(name)}{subset} width="{width}" height="{height}">\n'
    for label, score in zip(picture.labels, picture.label_scores, strict=True):
        yield f'    <tag label={_quoted(label)} source="{_source(score)}">{_attributes(frozenset(), score)}</tag>\n'
    for box in picture.boxes:
        sides = [number(side, _PLACES_PX) for side in in_pixels(box.corners_norm, picture.size_hw)]
        edges = " ".join(f'{edge}="{side}"' for edge, side in zip(("xtl", "ytl", "xbr", "ybr"), sides, strict=True))
        start = f'    <box label={_quoted(box.label)} source="{_source(box.score)}" occluded="0" {edges} z_order="0">'
        yield f"{start}{_attributes(box.marks, box.score)}</box>\n"
    yield "  </image>\n"


def _quoted(text: str) -> str:
    return saxutils.quoteattr(text)


def _source(score: float | None) -> str:
    """Who drew it, in CVAT's words."""
    return "manual" if score is None else "auto"


def _attributes(marks: frozenset[str], score: float | None) -> str:
    values = [(_NAMES[mark], "true") for mark in sorted(marks)]
    values += [] if score is None else [(SCORE, repr(score))]
    return "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in values)
