"""Shapes that are no upright rectangles: the upright rectangle around them is what a box can be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from boxwright.convert import dataset
from boxwright.tool_formats.pictures import in_pixels as in_pixels

OUTLINE = "outline (polygon, ellipse, mask or turned box): its upright bounding box is taken"
NO_BOX = "shape that is no box and no outline ({}): left out"

Point = tuple[float, float]


def around(points: Sequence[Point]) -> dataset.Corners:
    """The upright rectangle around points, in their unit; there is at least one."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def around_turned(points: Sequence[Point], degrees: float, centre: Point) -> dataset.Corners:
    """The upright rectangle around points that are turned clockwise about a centre, the y axis pointing down."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    offsets = [(x - centre[0], y - centre[1]) for x, y in points]
    return around([(centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine) for x, y in offsets])


def around_ellipse(centre: Point, radii: Point, degrees: float = 0) -> dataset.Corners:
    """The upright rectangle around an ellipse that is turned about its centre."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_x = math.hypot(radii[0] * cosine, radii[1] * sine)
    half_y = math.hypot(radii[0] * sine, radii[1] * cosine)
    return centre[0] - half_x, centre[1] - half_y, centre[0] + half_x, centre[1] + half_y


def corners_of(corners: dataset.Corners) -> list[Point]:
    """The four corners of an upright rectangle."""
    left, top, right, bottom = corners
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def in_fractions(corners_px: dataset.Corners, size_hw: tuple[int, int]) -> dataset.Corners:
    """A box in pixels as fractions of its image's sides."""
    (left, top, right, bottom), (height, width) = corners_px, size_hw
    return left / width, top / height, right / width, bottom / height
