"""The options that benchmarks have in common."""

from __future__ import annotations

import argparse
import pathlib

from benchmarks.harness import pictures


def parser(doc: str | None, quick: str) -> argparse.ArgumentParser:
    """A parser with `--quick` and `--result`.

    Args:
        doc: the script's docstring, which its help shows.
        quick: what `--quick` does.
    """
    found = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--quick", action="store_true", help=quick)
    found.add_argument(
        "--result",
        type=pathlib.Path,
        metavar="FILE",
        help="also write the figures as JSON, for example to benchmarks/results/NAME.json",
    )
    return found


def add_model(found: argparse.ArgumentParser) -> None:
    """Adds `--model`, `--model-type` and `--precision`."""
    found.add_argument("--model", type=pathlib.Path, metavar="FOLDER", help="a trained model's folder")
    found.add_argument(
        "--model-type", default="cloud-high-accuracy-1", help="type of the random network without --model"
    )
    found.add_argument("--precision", default="int8", choices=("int8", "fp32"), help="of the random network")


def add_images(found: argparse.ArgumentParser) -> None:
    """Adds `--images`."""
    found.add_argument("--images", type=pathlib.Path, metavar="FOLDER", help="images to take instead of drawn ones")


def add_kinds(found: argparse.ArgumentParser) -> None:
    """Adds `--kinds`, `--count` and `--rounds`."""
    found.add_argument("--kinds", type=lambda text: text.split(","), default=list(pictures.KINDS), help="vga,1080p,…")
    found.add_argument("--count", type=int, default=2000, help="images of each kind (default 2000)")
    found.add_argument("--rounds", type=int, default=3)
