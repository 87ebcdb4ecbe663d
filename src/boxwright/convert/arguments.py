"""The flags of ``boxwright convert``, apart from what they start: no other command need load that."""

from __future__ import annotations

import argparse
import pathlib

FORMATS = ("csv", "coco", "voc", "yolo", "classes")
SPLITS = ("train", "val", "test", "unassigned")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("source", type=pathlib.Path, metavar="SOURCE", help="file or folder to read")
    parser.add_argument("target", type=pathlib.Path, metavar="TARGET", help="file or folder to write")
    parser.add_argument(
        "--from", dest="from_format", choices=FORMATS, help="format of SOURCE (default: what it looks like)"
    )
    parser.add_argument("--to", dest="to_format", choices=FORMATS, help="format of TARGET (default: by its suffix)")
    parser.add_argument(
        "--images", type=pathlib.Path, metavar="DIR", help="where the images are (default: beside SOURCE)"
    )
    parser.add_argument("--image-prefix", metavar="URI", help="csv: what its paths begin with, as gs://bucket/folder")
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
    parser.add_argument("--keep-crowd", action="store_true", help="keep COCO's crowd boxes as ordinary ones")
    parser.add_argument("--copy-images", action="store_true", help="voc, yolo: copy the images into TARGET")
    parser.add_argument("--skip-bad", action="store_true", help="leave unusable entries out instead of stopping")
    parser.add_argument("--overwrite", action="store_true", help="replace a TARGET that convert wrote before")
