"""The flags of ``boxwright convert``, apart from what they start: no other command need load that."""

from __future__ import annotations

import argparse
import pathlib

from boxwright.convert import formats

SPLITS = ("train", "val", "test", "unassigned")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("source", type=pathlib.Path, metavar="SOURCE", help="file or folder to read")
    parser.add_argument("target", type=pathlib.Path, metavar="TARGET", help="file or folder to write")
    parser.add_argument(
        "--from",
        dest="from_format",
        choices=formats.READ,
        metavar="FORMAT",
        help=f"format of SOURCE (default: what it looks like): {', '.join(formats.READ)}",
    )
    parser.add_argument(
        "--to",
        dest="to_format",
        choices=formats.WRITTEN,
        metavar="FORMAT",
        help=f"format of TARGET (default: by its suffix): {', '.join(formats.WRITTEN)}",
    )
    parser.add_argument(
        "--images", type=pathlib.Path, metavar="DIR", help="where the images are (default: beside SOURCE)"
    )
    parser.add_argument(
        "--image-prefix",
        metavar="URI",
        help=f"{formats.names_with(takes_prefix=True)}: what paths begin with, as gs://bucket/folder",
    )
    parser.add_argument("--split", choices=SPLITS, default="unassigned", help="set of images that SOURCE puts in none")
    parser.add_argument(
        "--orientation",
        choices=("auto", "displayed", "stored"),
        default="auto",
        help="what boxes of EXIF-turned images refer to (default: by the size in the annotation)",
    )
    parser.add_argument(
        "--voc-first-pixel", type=int, choices=(0, 1), default=1, help="voc: the first pixel's number (default 1)"
    )
    parser.add_argument("--voc-exact", action="store_true", help="voc: write fractions of pixels")
    parser.add_argument(
        "--control", default="label", metavar="NAME", help="labelstudio: the control's name in its interface"
    )
    parser.add_argument("--keep-crowd", action="store_true", help="keep COCO's crowd boxes as ordinary ones")
    parser.add_argument(
        "--threshold", type=_score, metavar="SCORE", help="leave out boxes and labels with a score below this, 0 to 1"
    )
    parser.add_argument("--drop-scores", action="store_true", help="write no scores, as if people had drawn the boxes")
    parser.add_argument(
        "--copy-images",
        action="store_true",
        help=f"{formats.names_with(copies_images=True)}: copy the images into TARGET",
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave unusable entries out instead of stopping")
    parser.add_argument("--overwrite", action="store_true", help="replace a TARGET that convert wrote before")


def _score(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 to 1")
    return value
