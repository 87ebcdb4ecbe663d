"""Curves as a picture: a small SVG, without a plotting library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

WIDTH_PX, HEIGHT_PX = 640, 360
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 64, 16, 40, 48
COLOURS = ("#1a6fb0", "#c4501b", "#3a8f3a", "#7a4fa3")
Point = tuple[float, float]


def lines(title: str, x_label: str, y_label: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """Draws curves over one pair of axes that both begin at 0; returns the SVG's text.

    Args:
        title: stands above.
        x_label: what is counted along the bottom, with its unit.
        y_label: the same for the left side.
        curves: points by name, in the order of x.
    """
    points = [point for curve in curves.values() for point in curve]
    x_step, y_step = (_step(max((point[axis] for point in points), default=1.0)) for axis in (0, 1))
    x_most, y_most = (
        step * math.ceil(max((point[axis] for point in points), default=1.0) / step)
        for axis, step in ((0, x_step), (1, y_step))
    )

    def place(point: Point) -> tuple[float, float]:
        across = LEFT_PX + point[0] / x_most * (WIDTH_PX - LEFT_PX - RIGHT_PX)
        down = HEIGHT_PX - BOTTOM_PX - point[1] / y_most * (HEIGHT_PX - TOP_PX - BOTTOM_PX)
        return round(across, 1), round(down, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="white"/>',
        _text(WIDTH_PX / 2, 22, title, "middle", size=15),
        _text(WIDTH_PX / 2, HEIGHT_PX - 12, x_label, "middle"),
        _text(8, TOP_PX - 8, y_label, "start"),
    ]
    for number in range(round(y_most / y_step) + 1):
        left, down = place((0, number * y_step))
        parts.append(f'<path d="M{left} {down}H{WIDTH_PX - RIGHT_PX}" stroke="#ddd"/>')
        parts.append(_text(left - 6, down + 4, f"{number * y_step:g}", "end"))
    for number in range(round(x_most / x_step) + 1):
        across, down = place((number * x_step, 0))
        parts.append(_text(across, down + 18, f"{number * x_step:g}", "middle"))
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across},{down}" for across, down in map(place, curve))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(LEFT_PX + 12, HEIGHT_PX - BOTTOM_PX - 12 - 18 * number, name, "start", colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def _step(most: float) -> float:
    """A round step that gives about five lines up to `most`."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-9) / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= most)


def _text(across: float, down: float, text: str, anchor: str, *, size: int = 12, colour: str = "#333") -> str:
    escaped = html.escape(text)
    return f'<text x="{across}" y="{down}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escaped}</text>'
