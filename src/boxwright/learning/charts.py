"""Line charts as SVG text: a few series over one axis, readable in light and dark pages, without scripts."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 460.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 14.0, 34.0
MAX_POINTS = 200
TICKS = 5  # about
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c6bb1", "#a6761d", "#1b9e77")


@dataclasses.dataclass(frozen=True)
class Series:
    """One line: its name and its points (x, y), in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    y_limits: tuple[float, float] | None,
    x_limits: tuple[float, float] | None = None,
) -> str:
    """Draws the series over common axes.

    Args:
        series: at least one point among them, or the chart says that there is none.
        x_label: under the x axis.
        y_label: above the y axis.
        y_limits: of the y axis; None: from zero to just above the largest value.
        x_limits: of the x axis; None: from the first point to the last.
    """
    points = [point for one in series for point in one.points if all(math.isfinite(value) for value in point)]
    if not points:
        return '<p class="none">There is nothing to draw.</p>'
    x_low, x_high = x_limits or (min(x for x, _ in points), max(x for x, _ in points))
    y_low, y_high = y_limits or (0.0, 1.05 * max(max(y for _, y in points), 1e-9))
    x_span, y_span = (x_high - x_low) or 1.0, (y_high - y_low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_low) / x_span * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (min(max(y, y_low), y_high) - y_low) / y_span * (HEIGHT - TOP - BOTTOM)
        return across, down

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{html.escape(y_label)}">'
    ]
    for value in ticks(y_low, y_low + y_span):
        _, down = place(x_low, value)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{down + 4:.1f}">{value:,.10g}</text>')
    for position in ticks(x_low, x_low + x_span):
        across, _ = place(position, y_low)
        parts.append(f'<text class="tick middle" x="{across:.1f}" y="{HEIGHT - BOTTOM + 15}">{position:,.10g}</text>')
    parts.append(f'<text class="tick middle" x="{WIDTH / 2}" y="{HEIGHT - 4}">{html.escape(x_label)}</text>')
    for index, one in enumerate(series):
        drawn = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in thinned(one.points))
        colour = COLOURS[index % len(COLOURS)]
        parts.append(
            f'<polyline points="{drawn}" style="stroke:{colour}"><title>{html.escape(one.name)}</title></polyline>'
        )
    legend = "".join(
        f'<li><i style="background:{COLOURS[index % len(COLOURS)]}"></i>{html.escape(one.name)}</li>'
        for index, one in enumerate(series)
    )
    return f'<h3>{html.escape(y_label)}</h3>{"".join(parts)}</svg><ul class="legend">{legend}</ul>'


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten, about `TICKS` of them."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1.0, 2.0, 5.0, 10.0) if one * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about `MAX_POINTS` of the points, the first and the last among them."""
    step = max(1, math.ceil(len(points) / MAX_POINTS))
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]
