"""Columns and constraints that several tables have."""

import enum
from typing import Any

import sqlalchemy as sa


def one_of(column: str, values: type[enum.StrEnum]) -> sa.CheckConstraint:
    """The constraint that a column has one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def corners() -> list[sa.Column[float]]:
    """The corners of a box."""
    return [sa.Column(name, sa.Float) for name in ("x_min", "y_min", "x_max", "y_max")]  # in [0, 1]; null: no box


def image_columns() -> list[sa.Column[Any]]:
    """What is stored of an image."""
    return [
        sa.Column("sha256", sa.String(64), nullable=False),  # identity is the content
        sa.Column("uri", sa.String(2000), nullable=False),
        sa.Column("ml_use", sa.String(16), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
    ]
