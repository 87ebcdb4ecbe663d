"""The formats, as data: what each is read from, written to, and can carry; help, documents and tests use this table.

A format is a module with `recognise(source)` and `read(source, data, chosen)` if it is read, and with
`write(data, target, chosen)` if it is written. This module loads none of them before it is asked to.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from types import ModuleType

from boxwright.convert import entries

ALL_MARKS = frozenset({entries.CROWD, entries.DIFFICULT, entries.TRUNCATED})
ALWAYS, IN_FOLDERS, NEVER = "always", "in folders", "never"


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        module: of this package, which reads and writes it.
        title: as losses name it, "a CSV" for instance.
        reads: what SOURCE may be; empty for a format that is not read.
        writes: what TARGET becomes; empty for a format that is not written.
        suffixes: of the files that are read.
        target_suffixes: of a TARGET that becomes one file.
        is_known_by: the suffixes by which TARGET says its format without --to.
        writes_folder: whether a TARGET of another suffix becomes a folder.
        splits: whether sets are carried: ALWAYS, NEVER, or only IN_FOLDERS, a file a set.
        needs_sizes: whether the size of every image is needed to write it.
        uses_sizes: whether sizes are written where the image files are there.
        needs_files: whether the file of every image is.
        carries_boxes: whether it holds boxes.
        carries_labels: whether it holds labels of whole images.
        carries_scores: whether a box or label may have a score.
        carries_label_scores: whether a label of a whole image may have one, where a box may.
        carries_unused: whether it keeps labels that no box has.
        marks: those of a box that it keeps.
        takes_prefix: whether its paths say where images are, so that --image-prefix has a meaning.
        copies_images: whether --copy-images puts the images into TARGET.
    """

    module: str
    title: str
    reads: str
    writes: str
    suffixes: tuple[str, ...] = ()
    target_suffixes: tuple[str, ...] = ()
    is_known_by: tuple[str, ...] = ()
    writes_folder: bool = False
    splits: str = ALWAYS
    needs_sizes: bool = False
    uses_sizes: bool = False
    needs_files: bool = False
    carries_boxes: bool = True
    carries_labels: bool = True
    carries_scores: bool = False
    carries_label_scores: bool = True
    carries_unused: bool = False
    marks: frozenset[str] = frozenset()
    takes_prefix: bool = False
    copies_images: bool = False

    def load(self) -> ModuleType:
        """The module that reads and writes it."""
        return importlib.import_module(f"boxwright.convert.{self.module}")

    def is_folder(self, target: pathlib.Path) -> bool:
        """Whether this TARGET becomes a folder."""
        return self.writes_folder and target.suffix.lower() not in self.target_suffixes

    def keeps_sets(self, target: pathlib.Path) -> bool:
        """Whether this TARGET says which set an image is in."""
        return self.splits == ALWAYS or (self.splits == IN_FOLDERS and self.is_folder(target))


FORMATS = {
    "csv": Format(
        "import_csv",
        "a CSV",
        "a file, or a folder with `labels.csv` or one CSV; paths may be `gs://` or relative; both forms of a box",
        "a file: two-vertex form, at most 9 decimals",
        suffixes=(".csv",),
        target_suffixes=(".csv",),
        is_known_by=(".csv",),
        takes_prefix=True,
    ),
    "coco": Format(
        "coco",
        "COCO",
        "a file, or a folder with `annotations/instances_*.json`, other JSON there, `SET/_annotations.coco.json`, or "
        "`*.json`",
        "a folder with `annotations/instances_SET.json`, or one file if TARGET ends in `.json`",
        suffixes=(".json",),
        target_suffixes=(".json",),
        is_known_by=(".json",),
        writes_folder=True,
        splits=IN_FOLDERS,
        needs_sizes=True,
        carries_scores=True,
        carries_unused=True,
        marks=frozenset({entries.CROWD}),
    ),
    "voc": Format(
        "voc",
        "VOC",
        "`Annotations/**.xml` (or `annots`, `xml`, …) with `ImageSets/Main`, or a folder of XML files, as `train/*.xml`; "
        "any encoding that the file names",
        "the same; whole pixels, fractions with `--voc-exact`",
        suffixes=(".xml",),
        writes_folder=True,
        needs_sizes=True,
        carries_labels=False,
        marks=frozenset({entries.DIFFICULT, entries.TRUNCATED}),
        copies_images=True,
    ),
    "yolo": Format(
        "yolo",
        "YOLO",
        '`data.yaml` or another YAML file with `names`, CVAT\'s "YOLO 1.1" (`obj.data`), or `classes.txt` (also '
        "`labels/classes.txt`); sets as folders or lists; `images/SET` with `labels/SET`, `SET/images` with `SET/labels`, "
        "or labels beside the images",
        "`labels/`, `data.yaml`, and `train.txt`, `val.txt`, `test.txt` that list the images",
        writes_folder=True,
        carries_labels=False,
        carries_scores=True,
        carries_unused=True,
        copies_images=True,
    ),
    "classes": Format(
        "class_folders",
        "a folder of labels",
        "a folder for each label with its images, at any depth; below folders `train`, `val`, `test` or `unassigned`, if "
        "all folders are called so",
        "the same, with copies of the images",
        writes_folder=True,
        needs_files=True,
        carries_boxes=False,
    ),
    "vertex": Format(
        "vertex",
        "Vertex AI's JSONL",
        "Vertex AI's JSONL, a file or a folder of them: to import, to predict, or predictions",
        "a file to import, or of predictions if there are scores",
        suffixes=(".jsonl", ".ndjson"),
        target_suffixes=(".jsonl",),
        is_known_by=(".jsonl",),
        carries_scores=True,
        takes_prefix=True,
    ),
    "labelstudio": Format(
        "labelstudio",
        "Label Studio",
        "Label Studio's JSON export, a file or a folder with one: annotations, or the predictions of a task without "
        "annotations",
        "a JSON file of tasks with annotations, or with predictions if there are scores",
        suffixes=(".json",),
        target_suffixes=(".json",),
        splits=NEVER,
        uses_sizes=True,
        carries_scores=True,
        takes_prefix=True,
    ),
    "cvat": Format(
        "cvat",
        "CVAT",
        '"CVAT for images 1.1": a file, or a folder with `annotations.xml`',
        "a file; scores and marks are attributes",
        suffixes=(".xml",),
        target_suffixes=(".xml",),
        is_known_by=(".xml",),
        needs_sizes=True,
        carries_scores=True,
        carries_unused=True,
        marks=ALL_MARKS,
    ),
    "labelme": Format(
        "labelme",
        "LabelMe",
        "LabelMe's JSON, a file or a folder of them; folders named as sets",
        "a folder with a JSON file an image; labels of images are flags",
        suffixes=(".json",),
        writes_folder=True,
        splits=NEVER,
        needs_sizes=True,
        carries_scores=True,
        carries_label_scores=False,
        marks=ALL_MARKS,
        copies_images=True,
    ),
    "sagemaker": Format(
        "sagemaker",
        "SageMaker",
        "SageMaker Ground Truth's output manifest, a file or a folder with `SET.manifest`",
        "a folder with `SET.manifest`, or one file if TARGET ends in `.manifest`",
        suffixes=(".manifest", ".jsonl"),
        target_suffixes=(".manifest", ".jsonl"),
        is_known_by=(".manifest",),
        writes_folder=True,
        splits=IN_FOLDERS,
        needs_sizes=True,
        carries_scores=True,
        takes_prefix=True,
    ),
    "datumaro": Format(
        "datumaro",
        "Datumaro",
        "Datumaro's JSON: a file, or a folder with `annotations/SET.json`",
        "a folder with `annotations/SET.json`, or one file if TARGET ends in `.json`",
        suffixes=(".json",),
        target_suffixes=(".json",),
        writes_folder=True,
        splits=IN_FOLDERS,
        needs_sizes=True,
        carries_scores=True,
        carries_unused=True,
        marks=ALL_MARKS,
    ),
    "table": Format(
        "flat_table",
        "a flat table",
        "",
        "a row a box, with a header: Parquet if TARGET ends in `.parquet`, otherwise CSV",
        target_suffixes=(".parquet", ".csv"),
        is_known_by=(".parquet",),
        uses_sizes=True,
        carries_scores=True,
        takes_prefix=True,
    ),
    "results": Format(
        "results",
        "result files",
        "the folder of a [batch prediction](batch-prediction.md), or one of its result files",
        "",
        suffixes=(".jsonl",),
        splits=NEVER,
        carries_scores=True,
    ),
}
READ = tuple(name for name, one in FORMATS.items() if one.reads)
WRITTEN = tuple(name for name, one in FORMATS.items() if one.writes)


def of_target(target: pathlib.Path) -> str | None:
    """The format that TARGET says by its suffix, if it does."""
    suffix = target.suffix.lower()
    return next((name for name, one in FORMATS.items() if suffix in one.is_known_by), None)


def names_with(**wanted: object) -> str:
    """The formats that are written and whose attributes have these values, as help lists them: "voc, yolo"."""
    matching = (
        name
        for name, one in FORMATS.items()
        if one.writes and all(getattr(one, field) == value for field, value in wanted.items())
    )
    return ", ".join(matching)


def table() -> str:
    """The table of the documents: a line a format."""
    lines = [
        "| | read | written | sets | scores | labels of images | sizes needed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in FORMATS.items():
        holds = "yes" if one.carries_labels and one.carries_boxes else "no" if one.carries_boxes else "only"
        scores, sizes = ("yes" if value else "no" for value in (one.carries_scores, one.needs_sizes))
        splits = {ALWAYS: "yes", NEVER: "no"}.get(one.splits, one.splits)
        lines.append(
            f"| `{name}` | {one.reads or '–'} | {one.writes or '–'} | {splits} | {scores} | {holds} | {sizes} |"
        )
    return "\n".join(lines) + "\n"
