"""``boxwright convert``: labelled images from one file format into another."""

from __future__ import annotations

import argparse
import contextlib
import gc
import pathlib
import sys
from collections.abc import Iterator

from boxwright import errors
from boxwright.convert import account, dataset, entries, foreign, formats, image_files, losses, output, pictures, voc
from boxwright.convert.options import SPLIT_NAMES, SPLITS, ConvertOptions

_IMAGE_FOLDERS = ("images", "JPEGImages")
BELOW = "box or label with a score below the threshold: left out"


def run(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit status.

    Raises:
        ApiError: INVALID_ARGUMENT about the source, FAILED_PRECONDITION about the target; nothing was written then.
    """
    told = account.Account(skip_bad=options.skip_bad)
    try:
        with _named(), _seldom_collected():
            lines = _convert(options, told)
    except errors.ApiError:
        for line in told.lines():
            print(line, file=sys.stderr)
        raise
    for line in lines:
        print(line)
    return 0


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Names the file that the system cannot read, wherever that is found out.

    Raises:
        ApiError: INVALID_ARGUMENT instead of what the system raises.
    """
    try:
        yield
    except OSError as error:
        raise errors.bad_request(f"{error.filename}: {error.strerror}.") from error
    except UnicodeEncodeError as error:
        raise errors.bad_request(
            f"{error.object!a}: no file can have this name in this locale; set LC_ALL to one of UTF-8, as C.UTF-8."
        ) from error


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Lets Python look for cycles seldom: millions of entries have none, and looking takes a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _convert(options: argparse.Namespace, told: account.Account) -> list[str]:
    """Converts; returns what there is to tell."""
    source, target = options.source, options.target
    if not source.exists():
        raise errors.bad_request(f"{source} does not exist.")
    from_name = options.from_format or detect(source)
    to_name = options.to_format or formats.of_target(target)
    if to_name is None:
        raise errors.bad_request(f"{target}: name its format with --to ({', '.join(formats.WRITTEN)}).")
    origin, to = formats.FORMATS[from_name], formats.FORMATS[to_name]
    if options.copy_images and not to.copies_images:
        names = formats.names_with(copies_images=True)
        raise errors.bad_request(f"--copy-images is for {names}, whose folders hold the images too.")
    if options.image_prefix is not None and not to.takes_prefix:
        names = formats.names_with(takes_prefix=True)
        raise errors.bad_request(f"--image-prefix is for {names}, whose paths say where the images are.")
    _refuse_foreign(source, origin.suffixes)
    output.check_free(
        target,
        is_folder=to.is_folder(target),
        overwrite=options.overwrite,
        read=_read_paths(source, target, options.images, origin.suffixes),
    )
    finder = image_files.Finder(*_roots(source, options.images))
    chosen = ConvertOptions(
        told,
        finder,
        split=SPLITS[options.split],
        image_prefix=options.image_prefix,
        voc_first_pixel=options.voc_first_pixel,
        voc_exact=options.voc_exact,
        copy_images=options.copy_images,
        orientation=options.orientation,
        control=options.control,
    )
    with contextlib.closing(finder), dataset.Dataset(told) as data:
        origin.load().read(source, data, chosen)
        _choose(data, source, options, told, keeps_crowd=entries.CROWD in to.marks)
        _check_content(data, source, to_name)
        pictures.settle(
            data,
            told,
            turn=options.orientation,
            sizes_wanted=to.needs_sizes,
            sizes_used=to.uses_sizes,
            files_wanted=options.copy_images or to.needs_files,
        )
        if not data.count()[0]:
            raise errors.bad_request(f"{source}: there is no usable image in it.")
        losses.tell(data, target, to, told)
        to.load().write(data, target, chosen)
        return _summary(data, told, f"{source} ({from_name}) → {target} ({to_name})")


def _read_paths(
    source: pathlib.Path, target: pathlib.Path, images: pathlib.Path | None, suffixes: tuple[str, ...]
) -> list[pathlib.Path]:
    """What is read: SOURCE, the images, and the target itself where it is one of the files that SOURCE is read from."""
    is_inside = target.resolve().is_relative_to(source.resolve()) and target.suffix.lower() in suffixes
    return [source, *([images] if images is not None else []), *([target] if is_inside else [])]


def _choose(
    data: dataset.Dataset,
    source: pathlib.Path,
    options: argparse.Namespace,
    told: account.Account,
    *,
    keeps_crowd: bool,
) -> None:
    """Leaves out what was not asked for, and tells what does not fit the image files that are there."""
    if not (options.keep_crowd or keeps_crowd):
        data.drop(dataset.CROWD, "box around a crowd (COCO iscrowd): left out (--keep-crowd keeps it)")
    if options.threshold is not None:
        told.note(BELOW, str(source), data.drop_below(options.threshold))
    if options.drop_scores:
        data.drop_scores()
    data.seal()
    pictures.check_files(data, told)


def detect(source: pathlib.Path) -> str:
    """The format of a file or folder, by what is in it.

    Raises:
        ApiError: INVALID_ARGUMENT if it is none or could be several.
    """
    asked = [name for name in formats.READ if name != "classes"]
    found = [name for name in asked if formats.FORMATS[name].load().recognise(source)]
    if len(found) > 1 and source.is_file():
        found = [name for name in found if name != "coco"]  # which takes any JSON, so that mistakes in it are named
    if not found and foreign.name_of(source, None) is None and formats.FORMATS["classes"].load().recognise(source):
        return "classes"  # any folder of folders with images looks like that, also around other formats
    if len(found) != 1:
        _refuse_foreign(source, None)
        seen = f"could be {' or '.join(found)}" if found else "is none of them, as far as can be seen"
        raise errors.bad_request(f"{source} {seen}; name its format with --from ({', '.join(formats.READ)}).")
    return found[0]


def _check_content(data: dataset.Dataset, source: pathlib.Path, to_name: str) -> None:
    """Refuses what the target cannot hold.

    Raises:
        ApiError: INVALID_ARGUMENT saying what to write instead.
    """
    has_boxes, has_labels = data.holds()
    if has_boxes and has_labels:
        raise errors.bad_request(f"{source} holds boxes and labels of whole images; convert its files one by one.")
    to = formats.FORMATS[to_name]
    if has_labels and not to.carries_labels:
        names = formats.names_with(carries_labels=True)
        raise errors.bad_request(f"{source} holds labels of whole images, and {to_name} boxes; write one of {names}.")
    if has_boxes and not to.carries_boxes:
        names = formats.names_with(carries_boxes=True)
        raise errors.bad_request(f"{source} holds boxes, and {to_name} has none; write one of {names}.")


def _refuse_foreign(source: pathlib.Path, suffixes: tuple[str, ...] | None) -> None:
    """Names another tool's file, which is not read; of these suffixes or of all.

    Raises:
        ApiError: INVALID_ARGUMENT if it is one.
    """
    if found := foreign.name_of(source, suffixes):
        raise errors.bad_request(f"{found[1]}: this is {found[0]}; {', '.join(formats.READ)} are read.")


def _roots(source: pathlib.Path, images: pathlib.Path | None) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Where the paths of images may begin; and where only those may that are to the letter those of files."""
    if images is not None:
        if not images.is_dir():
            raise errors.bad_request(f"--images: {images} is not a folder.")
        return [images], []
    folder = source if source.is_dir() else source.parent
    inside = [folder, *(folder / name for name in _IMAGE_FOLDERS)]
    beside = [folder.parent / name for name in _IMAGE_FOLDERS]
    annotations = voc.annotations_folder(source) if source.is_dir() else folder
    return list(dict.fromkeys([*inside, *beside, annotations])), [folder.parent]


def _summary(data: dataset.Dataset, told: account.Account, title: str) -> list[str]:
    """What was converted, and the account."""
    images, boxes, empty = data.count()
    noun = "labels of images" if data.holds()[1] else "boxes"
    sets = ", ".join(SPLIT_NAMES[split] for split in data.splits())
    without = f" ({empty} without {'a label' if data.holds()[1] else 'a box'})" if empty else ""
    counted = f"{title}: {images} images ({sets}){without}, {boxes} {noun}, {len(data.labels())} labels."
    return [counted, *(f"  {line}" for line in told.lines())]
