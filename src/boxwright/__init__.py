"""Boxwright: a self-hosted, wire-compatible AutoML Vision object detection service."""

__version__ = "0.1.0"
