"""The addresses in a Parquet file, row by row; the file is read in a process of its own, see `parquet_main`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from google.rpc import code_pb2

from boxwright import errors, objects
from boxwright.batch import image_list
from boxwright.batch.entry import Entry
from boxwright.processes import FEW_HEAPS, Child, ChildExitError

CHILD_MODULE = "boxwright.batch.inputs.parquet_main"
MAGIC = b"PAR1"
ANSWER_S = 300.0  # for the next rows
MEMORY_BYTES = 2 << 30  # of addresses, those of all libraries included
_MORE = "more"


def entries(stores: objects.Stores, info: objects.ObjectInfo, column: str) -> Iterator[Entry]:
    """Yields an entry for each row.

    Args:
        stores: where the file is.
        info: the file.
        column: the name of the addresses' column; empty for one of `image_list.KEYS`.

    Raises:
        ApiError: from the store; INVALID_ARGUMENT if the file is damaged, takes too much memory, or has no such column.
    """
    child = Child(CHILD_MODULE, environment=FEW_HEAPS, variables=stores.variables, is_nice=False)
    try:
        job = {"uri": str(info.uri), "size_bytes": info.size_bytes, "column": column, "memory_bytes": MEMORY_BYTES}
        child.send(job | {"stores": stores.to_config()})
        number = 0
        while (answer := _rows(child, info.uri))["texts"]:
            key, end_bytes = answer["key"], answer["end_bytes"]
            for text in answer["texts"]:
                number += 1
                place = f"{info.uri}, row {number}"
                if text:
                    yield Entry(image_list.whole_address(text, key, info.uri), place, end_bytes)
                else:
                    yield Entry(place, place, end_bytes, failure=f"the row has no value in the column {key}")
    except ChildExitError as error:
        raise _unusable(info.uri) from error
    finally:
        child.close(grace_s=0)


def _rows(child: Child, uri: objects.ObjectUri) -> dict[str, Any]:
    child.send_line(_MORE)
    deadline_s = time.monotonic() + ANSWER_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        event = child.next_event(left_s)
        match event:
            case {"event": "rows"} if event is not None:
                return event
            case {"event": "throttled"}:
                deadline_s = time.monotonic() + ANSWER_S
            case {"event": "error", "code": int() as code, "message": str() as message}:
                is_of_the_file = code == code_pb2.INVALID_ARGUMENT and not message.startswith(str(uri))
                raise errors.ApiError(code, f"{uri}: {message}." if is_of_the_file else message)
    raise _unusable(uri)


def _unusable(uri: objects.ObjectUri) -> errors.ApiError:
    return errors.bad_request(
        f"{uri} cannot be read as Parquet: it is damaged or cut off, or a part of it takes more than "
        f"{MEMORY_BYTES >> 20} MiB of memory. Write it again, with the addresses alone and small row groups."
    )
