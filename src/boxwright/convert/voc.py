"""Pascal VOC: one XML file an image under Annotations, lists of images under ImageSets/Main.

Pixels count from 1 and xmax, ymax are the last ones inside (VOC2012 development kit): a box over a whole image
of W columns goes from 1 to W. As edges that is [xmin - 1, xmax]. Files that count from 0 are common too; what they call
xmin and xmax are then taken for the edges themselves.
"""

from __future__ import annotations

import codecs
import contextlib
import pathlib
import re
from collections.abc import Iterator
from xml.etree import ElementTree as tree  # makes and names elements; what is read goes through defusedxml

import defusedxml
import defusedxml.ElementTree as safe_tree

from boxwright import errors, states
from boxwright.convert import (
    account,
    dataset,
    entries,
    folders,
    image_files,
    json_kinds,
    options,
    output,
    pictures,
    set_lists,
    xml_elements,
)
from boxwright.tool_formats import voc as voc_format

ROUNDED = "box moved to whole pixels (--voc-exact keeps fractions)"
ZERO_BASED = "box that begins at pixel 0: are these files counted from 0? (--voc-first-pixel 0)"
SEVERAL = "VOC object with several boxes: one box each"
STALE = "VOC <filename> that names another file: the image with the XML's own name is used"
UNLIKE = "VOC <filename> unlike the XML file's own name: the image that it names is taken"
NO_EXTENSION = "VOC <filename> without an extension, and no such image here: taken as .jpg"
MAX_FILE_BYTES = 16 * 1024 * 1024  # a file describes one image
_OBJECT_FIELDS = {"name", "bndbox", "difficult", "truncated"}
_FOLDERS = ("annotations", "annotation", "annots", "xml", "xmls", "labels")  # of XML files beside images, in any case
_IMAGE_FOLDERS = ("JPEGImages", "images", "imgs", "img")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["'][^>]*\?>""")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949"}  # what writers mean by these
_YES = ("1", "true", "yes")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a folder with VOC's XML files."""
    first = next(_files(source), None) if source.is_dir() else None
    return first is not None and xml_elements.root_name(json_kinds.beginning(first)) != "annotations"  # CVAT's


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every XML file below Annotations, or below the folder itself if there is none.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file, and the line or the object.
    """
    root = annotations_folder(source)
    several = [] if root != source else sorted(source.glob("*/Annotations"))
    if len(several) > 1 and any(folders.is_folder(folder.parent / "ImageSets") for folder in several):
        names = ", ".join(folder.parent.name for folder in several)
        raise errors.bad_request(f"{source}: it holds several VOC folders ({names}) with sets of their own; name one.")
    lists = set_lists.lists(source)
    folders_tell = not (source / "ImageSets").is_dir()  # as some exports have it: train/a.xml
    for file in _files(source, chosen.told):
        stem = file.relative_to(root).with_suffix("").as_posix()
        folder = pathlib.PurePosixPath(stem).parts[0].lower()
        split = options.SPLITS.get(folder, chosen.split) if folders_tell and "/" in stem else chosen.split
        _read_file(file, stem, split, data, chosen)
    set_lists.apply(lists, data, chosen.told)
    set_lists.tell_unused(source, lists, chosen.told)


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes Annotations and ImageSets/Main, and JPEGImages if images are to be copied.

    Raises:
        ApiError: FAILED_PRECONDITION if the folder cannot be written; INVALID_ARGUMENT if two images share a name.
    """
    common = data.common_folder()
    with output.new_folder(target) as folder:
        (folder / "Annotations").mkdir()
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        for split in data.splits():
            with contextlib.ExitStack() as stack:
                handle = None
                if split is not states.MlUse.UNASSIGNED:
                    path = lists / f"{options.SPLIT_NAMES[split]}.txt"
                    handle = stack.enter_context(path.open("w", encoding="utf-8", newline="\n"))
                for picture in data.pictures(split):
                    name = options.image_name(picture.path, common)
                    bare = pathlib.PurePosixPath(name).with_suffix("")
                    path = folder / "Annotations" / f"{bare}.xml"
                    text, moved = voc_format.document(
                        picture, name, first_pixel=chosen.voc_first_pixel, exact=chosen.voc_exact
                    )
                    if moved:
                        chosen.told.note(ROUNDED, picture.path)
                    if not output.write_annotation([path], name, text, chosen.told):
                        continue
                    if handle is not None:
                        handle.write(f"{bare}\n")
                    if chosen.copy_images and picture.file is not None:
                        output.copy_image(picture.file, folder / "JPEGImages" / name)


def annotations_folder(source: pathlib.Path) -> pathlib.Path:
    """Where the XML files of a folder begin: Annotations, or whatever it is called, or else the folder itself."""
    if folders.is_folder(source / "Annotations"):
        return source / "Annotations"
    named = [folder for folder in sorted(source.iterdir()) if folder.name.lower() in _FOLDERS]
    found = [folder for folder in named if next(folders.files(folder, {".xml"}), None)]
    return found[0] if len(found) == 1 and not any(source.glob("*.xml")) else source


def _files(source: pathlib.Path, told: account.Account | None = None) -> Iterator[pathlib.Path]:
    return folders.files(annotations_folder(source), {".xml"}, told)


class _Unreadable(Exception):
    """What is wrong with a file, and in which line if that is known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


def _parse(file: pathlib.Path) -> tree.Element:
    """The root of a file, which may name no entities and no document type.

    Raises:
        _Unreadable: it is none.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise _Unreadable(f"an annotation of more than {MAX_FILE_BYTES} bytes is none")
        root: tree.Element = safe_tree.fromstring(_decoded(file.read_bytes()), forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise _Unreadable("it has a document type or entities, which are refused") from error
    except tree.ParseError as error:
        raise _Unreadable(f"this is not XML ({error})", error.position[0]) from error
    except UnicodeDecodeError as error:
        raise _Unreadable(f"this is not XML: its text is not in {error.encoding}, which it names") from error
    except (LookupError, ValueError) as error:
        raise _Unreadable(f"this is not XML ({error})") from error
    except OSError as error:
        raise _Unreadable(str(error.strerror)) from error
    return root


def _decoded(content: bytes) -> bytes | str:
    """The content as the parser takes it: expat decodes four encodings by itself, Python a hundred.

    A byte order mark outweighs the declaration. A declaration that can be read as ASCII cannot be true of UTF-16 or UTF-32.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _undeclared(content.decode("utf-16"))
    if content.startswith(codecs.BOM_UTF8):
        return _undeclared(content.decode("utf-8-sig"))
    declared = _ENCODING.match(content)
    if declared is None:
        return content.lstrip()
    name = codecs.lookup(declared[1].decode("ascii")).name
    name = "utf-8" if name.startswith(("utf-16", "utf-32")) else _WIDER.get(name, name)
    return _undeclared(content.decode(name))


def _undeclared(text: str) -> str:
    """The text without its XML declaration, which no longer holds; the numbers of the lines do not change."""
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)


def _read_file(
    file: pathlib.Path, stem: str, split: states.MlUse, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    told = chosen.told
    try:
        root = _parse(file)
    except _Unreadable as problem:
        told.refuse(str(file) if problem.line is None else f"{file}, line {problem.line}", str(problem))
        return
    if root.tag != "annotation":
        told.refuse(str(file), f"its root is <{root.tag}>, not <annotation>")
        return
    path = _image_path(file, stem, root.findtext("filename") or "", chosen)
    if path is None:
        told.refuse(str(file), "it has no <filename>, and no image has its name")
        return
    size_hw = entries.pixel_size(*(_numbers(root.find("size"), ("height", "width")) or (None, None)))
    image_id = pictures.add(data, chosen, path, split, size_hw, str(file), key=stem)
    if image_id is None:
        return
    if size_hw is None:
        has_file = data.file_of(image_id) is not None
        size_hw = pictures.find_size(data, image_id, chosen)
        if has_file and size_hw is None:
            return
    if (root.findtext("segmented") or "0").strip() not in ("0", "Unspecified"):
        told.note("VOC segmentation, which is dropped", str(file))
    for index, element in enumerate(root.iter("object"), 1):
        _read_object(element, image_id, size_hw, f"{file}, object {index}", data, chosen)


def _image_path(file: pathlib.Path, stem: str, filename: str, chosen: options.ConvertOptions) -> str | None:
    """The image that a file describes, by what it says and by its own name.

    The file's own place tells the folder: <filename> is a bare name in VOC. Copied files often keep the <filename> of
    another image, and many tools leave the extension out.
    """
    own = pathlib.PurePosixPath(stem)
    named = pathlib.PurePosixPath(filename)
    if named.stem != own.name or named.name != filename:  # what we write is taken to the letter
        named = pathlib.PurePosixPath(filename.strip().replace("\\", "/").rsplit("/", 1)[-1])
    if named.name and image_files.fold(_stem(named.name)) == image_files.fold(own.name):
        described = own.with_name(named.name)
    else:
        located = chosen.finder.locate(f"{stem}.jpg", moved=False)
        if located is not None:
            if named.name:
                chosen.told.note(STALE, f"{file}: {named.name} → {located.name}")
            return located.name
        if not named.name:
            return None
        described = own.with_name(named.name)
        chosen.told.note(UNLIKE, str(file))
    if beside := _beside_annotations(described, chosen):
        return beside
    if folders.is_image_name(described.name) or chosen.finder.find(str(described)):
        return str(described)
    chosen.told.note(NO_EXTENSION, str(file))
    return f"{described}.jpg"


def _beside_annotations(described: pathlib.PurePosixPath, chosen: options.ConvertOptions) -> str | None:
    """The image in the folder of images beside a folder of annotations: train/annotations/a.xml, train/images/a.jpg."""
    parts = described.parts
    for index in range(len(parts) - 2, -1, -1):
        if parts[index].lower() in _FOLDERS:
            for name in ((*parts[:index], folder, *parts[index + 1 :]) for folder in _IMAGE_FOLDERS):
                located = chosen.finder.locate("/".join(name), moved=False)
                if located is not None:
                    return located.name
    return None


def _stem(name: str) -> str:
    """A name without the extension of an image."""
    return pathlib.PurePosixPath(name).stem if folders.is_image_name(name) else name


def _read_object(
    element: tree.Element,
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    boxes = element.findall("bndbox")
    if len(boxes) > 1:
        chosen.told.note(SEVERAL, where)
    for bounds in boxes or (None,):
        _read_box(element, bounds, image_id, size_hw, where, data, chosen)
    for child in element:
        if child.tag not in _OBJECT_FIELDS and (child.text or "").strip() not in ("", "0", "Unspecified"):
            chosen.told.note(f"VOC field <{child.tag}>, which is dropped", where)
        elif child.tag == "part":
            chosen.told.note("VOC field <part>, which is dropped", where)


def _read_box(
    element: tree.Element,
    bounds: tree.Element | None,
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    sides = _numbers(bounds, ("xmin", "ymin", "xmax", "ymax"))
    if sides is None or size_hw is None:
        missing = "its image has neither <size> nor a file that was found; name the folder with --images"
        chosen.told.refuse(
            where, "<bndbox> lacks one of the numbers xmin, ymin, xmax, ymax" if sides is None else missing
        )
        data.lost_box(image_id)
        return
    first, (height, width) = chosen.voc_first_pixel, size_hw
    if first and min(sides) == 0:
        chosen.told.note(ZERO_BASED, where)
    left, top, right, bottom = sides
    if left > right or top > bottom:
        chosen.told.note(dataset.REVERSED, where)
        left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
    if max(sides) <= 1 and (width, height) != (1, 1):
        chosen.told.note(dataset.WITHIN_A_PIXEL, where)
    corners = ((left - first) / width, (top - first) / height, right / width, bottom / height)
    marks = {
        mark
        for mark in (dataset.DIFFICULT, dataset.TRUNCATED)
        if (element.findtext(mark) or "").strip().lower() in _YES
    }
    label = (element.findtext("name") or "").strip()
    data.add_box(image_id, dataset.Box(label, corners, frozenset(marks)), where)


def _numbers(parent: tree.Element | None, names: tuple[str, ...]) -> tuple[float, ...] | None:
    if parent is None:
        return None
    try:
        return entries.finite([float(parent.findtext(name) or "") for name in names], len(names))
    except ValueError:
        return None
