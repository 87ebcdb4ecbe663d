"""Puts events into the outbox, in the transaction that changes the operation's state."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from boxwright import names, states
from boxwright.metadata import outbox
from boxwright.notifications import cloud_events


class EventNotes:
    """Notes the states of operations whose request names destinations.

    Args:
        describe: what is told of an operation, from its row.
    """

    def __init__(self, describe: Callable[[sa.Row[Any]], Mapping[str, Any]]) -> None:
        self._describe = describe

    def note(self, connection: sa.Connection, row: sa.Row[Any]) -> None:
        """Notes the state that an operation has just come to; nothing if nobody wants to know."""
        destinations = json.loads(row.notify)
        if not destinations:
            return
        word = cloud_events.WORDS[states.OperationState(row.state)]
        name = names.OperationName(row.project, row.location, row.id)
        body = cloud_events.text(name, word, row.update_time_us, self._describe(row))
        for number, destination in enumerate(destinations):
            outbox.put(
                connection,
                operation_id=row.id,
                position=int(word != cloud_events.STARTED),
                destination_number=number,
                event_id=cloud_events.event_id(name, word),
                destination=destination,
                project=row.project,
                caller=row.caller,
                caller_groups=row.caller_groups,
                body=body,
                create_time_us=row.update_time_us,
            )
