"""Pictures and histograms of the report, as SVG text that is readable in light and dark pages."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from boxwright.batch.output.candidates import SCALE
from boxwright.batch.report.leaders import RankedImage
from boxwright.batch.report.thumbnails import Thumbnail

COLOURS = ("#e69f00", "#56b4e9", "#00b386", "#f0e442", "#e8602c", "#cc79a7", "#7f9cff", "#a6d854", "#ff6f91", "#c0a16b")
WIDTH, HEIGHT, FOOT = 320.0, 120.0, 16.0
BLANK_WH = (320, 240)
MOST_BOXES, MOST_TAGS = 60, 8  # of one picture


def histogram(title: str, counts: Sequence[int], ends: tuple[str, str], reference: Sequence[int] | None = None) -> str:
    """A histogram as shares; `reference` is drawn over it as a line; `ends` stand below the first and the last bin."""
    total, of_reference = max(1, sum(counts)), max(1, sum(reference or ()))
    shares = [count / total for count in counts]
    others = [count / of_reference for count in reference or ()]
    most = max([*shares, *others, 1e-9])
    step, room = WIDTH / len(counts), HEIGHT - FOOT
    bars = "".join(
        f'<rect class="mine" x="{place * step + 0.5:.1f}" y="{room - share / most * room:.1f}" '
        f'width="{max(0.5, step - 1):.1f}" height="{share / most * room:.1f}"/>'
        for place, share in enumerate(shares)
        if share
    )
    line = ""
    if others:
        points = []
        for place, share in enumerate(others):
            height = room - share / most * room
            points += [f"{place * step:.1f},{height:.1f}", f"{(place + 1) * step:.1f},{height:.1f}"]
        line = f'<polyline class="test" points="{" ".join(points)}"/>'
    return (
        f'<figure><figcaption>{html.escape(title)}</figcaption><svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="{html.escape(title)}">{bars}{line}'
        f'<line class="axis" x1="0" x2="{WIDTH:.0f}" y1="{room:.0f}" y2="{room:.0f}"/>'
        f'<text class="tick" x="0" y="{HEIGHT - 2:.0f}">{html.escape(ends[0])}</text>'
        f'<text class="tick" x="{WIDTH:.0f}" y="{HEIGHT - 2:.0f}" text-anchor="end">{html.escape(ends[1])}</text>'
        "</svg></figure>"
    )


def picture(
    image: RankedImage,
    thumbnails: Mapping[bytes, Thumbnail],
    names: Sequence[str],
    threshold: float,
    caption: str,
) -> str:
    """An image with what was found in it at a threshold, best last, and a caption, which is plain text."""
    shown = thumbnails.get(image.sha256)
    if shown is None:
        width, height = BLANK_WH
        content = '<text class="none" x="50%" y="50%" text-anchor="middle">The image is not here.</text>'
    else:
        width, height = shown.width_px, shown.height_px
        content = f'<image href="data:image/jpeg;base64,{shown.jpeg}" width="{width}" height="{height}"/>'
    kept = np.flatnonzero(image.values[0] >= round(threshold * SCALE))[:MOST_BOXES]
    layers = []
    for place in kept[::-1].tolist():
        label = int(image.label_indices[place])
        text = html.escape(f"{names[label]} {image.values[0, place] / SCALE:.2f}")
        x, y = 4.0, 14.0 * (place + 1)
        if len(image.values) > 1:
            left, top, right, bottom = (image.values[1:, place] / SCALE).tolist()
            layers.append(
                f'<rect class="hit" stroke="{COLOURS[label % len(COLOURS)]}" x="{left * width:.1f}" '
                f'y="{top * height:.1f}" width="{(right - left) * width:.1f}" height="{(bottom - top) * height:.1f}"/>'
            )
            x, y = left * width + 2, max(11.0, top * height + 12)
        if place < MOST_TAGS:
            layers.append(f'<text class="tag" x="{x:.1f}" y="{y:.1f}">{text}</text>')
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(image.id)}">{content}'
        f"{''.join(layers)}</svg><figcaption>{html.escape(caption)}<br>{html.escape(image.id)}</figcaption></figure>"
    )
