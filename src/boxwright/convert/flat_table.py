"""A flat table, one row a box: CSV with a header, or Parquet, which DuckDB, BigQuery and pandas read. Written only.

Corners are fractions of the image's sides. An image without a box or label has one row without them. Rows are written in
groups, so that memory does not grow with the table.
"""

from __future__ import annotations

import csv
import itertools
import pathlib
from collections.abc import Iterator

from boxwright.convert import dataset, options, output

ROWS_A_GROUP = 50_000
COLUMNS = {  # name and Arrow type
    "image": "utf8",
    "ml_use": "utf8",
    "label": "utf8",
    "score": "float64",
    "x_min": "float64",
    "y_min": "float64",
    "x_max": "float64",
    "y_max": "float64",
    "width_px": "int32",
    "height_px": "int32",
}
_Row = tuple[str | float | int | None, ...]


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes Parquet if the target ends in .parquet, otherwise a CSV.

    Raises:
        ApiError: FAILED_PRECONDITION if the file cannot be written.
    """
    found = _rows(data, data.common_folder(), chosen)
    if target.suffix.lower() == ".parquet":
        with output.new_path(target) as path:
            _write_parquet(found, path)
        return
    with output.new_file(target) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(found)


def _rows(data: dataset.Dataset, common: str, chosen: options.ConvertOptions) -> Iterator[_Row]:
    for picture in data.pictures():
        head = (options.address(picture.path, common, chosen.image_prefix), picture.split.value)
        height, width = picture.size_hw or (None, None)
        for box in picture.boxes:
            corners = (round(side, 9) for side in box.corners_norm)
            yield (*head, box.label, box.score, *corners, width, height)
        for label, score in zip(picture.labels, picture.label_scores, strict=True):
            yield (*head, label, score, None, None, None, None, width, height)
        if not picture.boxes and not picture.labels:
            yield (*head, None, None, None, None, None, None, width, height)


def _write_parquet(found: Iterator[_Row], path: pathlib.Path) -> None:
    from arro3 import core, io  # 23 MB of library that no other format needs

    kinds = {name: getattr(core.DataType, kind)() for name, kind in COLUMNS.items()}
    schema = core.Schema([core.Field(name, kind, nullable=True) for name, kind in kinds.items()])

    def batches() -> Iterator[core.RecordBatch]:
        while group := list(itertools.islice(found, ROWS_A_GROUP)):
            columns = zip(*group, strict=True)
            arrays = [core.Array(values, kind) for values, kind in zip(columns, kinds.values(), strict=True)]
            yield core.RecordBatch.from_arrays(arrays, schema=schema)

    reader = core.RecordBatchReader.from_batches(schema, batches())
    io.write_parquet(reader, path, compression="zstd(3)", max_row_group_size=ROWS_A_GROUP)
