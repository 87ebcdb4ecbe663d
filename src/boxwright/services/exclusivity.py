"""Which operations may work on one dataset at the same time: up to four imports, otherwise one."""

from __future__ import annotations

import sqlalchemy as sa

from boxwright import errors, names, states
from boxwright.operations import ledger

MAX_CONCURRENT_IMPORTS = 4  # the documented quota


def check(
    book: ledger.Ledger, connection: sa.Connection, dataset: names.DatasetName, kind: states.OperationKind
) -> None:
    """Raises FAILED_PRECONDITION, naming the running operations, if `kind` may not start on the dataset now."""
    running = book.running_on(connection, str(dataset))
    importing = kind == states.OperationKind.IMPORT_DATA and all(row.kind == kind for row in running)
    if len(running) < (MAX_CONCURRENT_IMPORTS if importing else 1):
        return
    listed = "".join(f"\t{ledger.name_of(row)}\n" for row in running)
    raise errors.failed_precondition(
        f"No other operations should be working on {dataset}.\n"
        f"Currently running operations on the dataset:\n{listed}"
        "Call ListOperations API to learn more details."
    )
