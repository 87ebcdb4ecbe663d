"""The Parquet process: ``python -m boxwright.batch.inputs.parquet_main`` reads the addresses in one file.

Parquet of callers is read by native code, which ends its process over some damaged files; and what a file says of itself may
ask for any amount of memory. So it is read here, within limits. Commands on standard input, one a line:

    {"stores": config, "uri", "size_bytes", "column", "memory_bytes"}      first
    "more"                                                                 the next rows

Events on standard output:

    {"event": "rows", "texts", "end_bytes", "key"}    a text or null for each row; none: the file is at its end
    {"event": "throttled", …}                         see `store_waits`
    {"event": "error", "code", "message"}             of the file or the store
"""

from __future__ import annotations

import io
import json
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

from arro3 import io as arrow_io
from arro3.core import DataType, RecordBatch, Schema, struct_field

from boxwright import errors, objects, processes
from boxwright.batch import image_list, store_waits

ROWS, WIDE_ROWS = 1024, 32  # in one batch: the values of all columns are in memory, and images may be among them
READ_BYTES = 1 << 20
SHOWN_COLUMNS = 20


class _ObjectFile(io.RawIOBase):
    """An object as a file that can be read anywhere."""

    def __init__(self, stores: objects.Stores, uri: objects.ObjectUri, size_bytes: int) -> None:
        self._stores, self._uri, self._size_bytes = stores, uri, size_bytes
        self.position = 0
        self.error: errors.ApiError | None = None  # of the store: native code turns it into a panic

    def close(self) -> None:
        """Stays open: its buffers come and go."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self._size_bytes}[whence]
        self.position = max(0, start + offset)
        return self.position

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        length = min(len(target), self._size_bytes - self.position)
        if length <= 0:
            return 0
        try:
            data = self._stores.range(self._uri, self.position, length)
        except errors.ApiError as error:
            self.error = error
            raise
        target[: len(data)] = data
        self.position += len(data)
        return len(data)


def _is_text(kind: DataType | None) -> bool:
    checks: tuple[Callable[[DataType], bool], ...] = (
        DataType.is_string,
        DataType.is_large_string,
        DataType.is_string_view,
    )
    if kind is not None and any(check(kind) for check in checks):
        return True
    return kind is not None and bool(DataType.is_dictionary(kind)) and _is_text(kind.value_type)


def _path(schema: Schema, column: str) -> tuple[list[int], str]:
    """Returns (where the addresses are: index of the column, index in its struct if they are in one; the name).

    Raises:
        ApiError: INVALID_ARGUMENT: no column has the name and texts.
    """
    outer, _, inner = column.partition(".")
    fields = {schema.field(index).name: (index, schema.field(index)) for index in range(len(schema.names))}
    for name in (column, outer) if column else image_list.KEYS:
        if name not in fields:
            continue
        index, field = fields[name]
        if _is_text(field.type) and name == (column or name):
            return [index], name
        if DataType.is_struct(field.type):
            for number, child in enumerate(field.type.fields):
                if _is_text(child.type) and (child.name == inner if inner else child.name in image_list.KEYS):
                    return [index, number], f"{name}.{child.name}"
    shown = ", ".join(schema.names[:SHOWN_COLUMNS]) + (", …" if len(schema.names) > SHOWN_COLUMNS else "")
    wanted = f"'{column}'" if column else "uri, image, path or the like"
    raise errors.bad_request(
        f"it has no column {wanted} with texts; params.input_column names another one. Its columns: {shown}"
    )


def _batches(file: _ObjectFile, schema: Schema) -> Iterator[RecordBatch]:
    kinds = [schema.field(index).type for index in range(len(schema.names))]
    is_wide = any(kind.bit_width is None and not _is_text(kind) for kind in kinds)
    yield from arrow_io.read_parquet(_buffered(file), batch_size=WIDE_ROWS if is_wide else ROWS)


def _buffered(file: _ObjectFile) -> io.BufferedReader:
    file.seek(0)
    return io.BufferedReader(file, READ_BYTES)


def _texts(batch: RecordBatch, path: list[int]) -> list[str | None]:
    column = batch.column(path[0])
    texts: Any = (struct_field(column, path[1:]) if path[1:] else column).to_pylist()
    return list(texts)


def _say(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Reads one file, some rows whenever they are asked for."""
    job = json.loads(sys.stdin.readline())
    store_waits.tell(_say)
    resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"],) * 2)
    uri = objects.ObjectUri.parse(job["uri"])
    file = _ObjectFile(objects.Stores.from_config(job["stores"]).named(), uri, job["size_bytes"])
    end_bytes = 0
    try:
        schema = arrow_io.read_parquet(_buffered(file)).schema
        path, key = _path(schema, job["column"])
        batches = _batches(file, schema)
        for _ in sys.stdin:
            batch = next(batches, None)
            if batch is not None:
                end_bytes = max(end_bytes, file.position)
            _say("rows", texts=[] if batch is None else _texts(batch, path), end_bytes=end_bytes, key=key)
    except errors.ApiError as error:
        _say("error", code=error.code, message=error.message)
    except BaseException:  # a panic is no Exception
        if file.error is None:
            raise
        _say("error", code=file.error.code, message=file.error.message)


if __name__ == "__main__":
    processes.end_quickly()
    main()
