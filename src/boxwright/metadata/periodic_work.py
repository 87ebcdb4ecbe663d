"""Statements on work that one process does for all of them, now and then: who does it, and when it is due again.

Who claims it moves its time into the future, by the database's clock: nobody else does it until then. Who is killed at it
leaves it to the one who asks after that time.
"""

from __future__ import annotations

import sqlalchemy as sa

from boxwright.metadata import database
from boxwright.metadata.schema import periodic_work


def claim(db: database.Database, name: str, owner: str, claim_s: float) -> bool:
    """Takes the work for `claim_s` seconds; returns whether it was due and nobody else has it."""
    with db.read() as connection:  # looking costs no writer anything
        now_us = database.now_us(connection)
        found = connection.execute(sa.select(periodic_work.c.next_us).where(periodic_work.c.name == name)).scalar()
    if found is not None and found > now_us:
        return False
    with db.write() as connection:  # exclusive: nobody inserts between the two statements
        now_us = database.now_us(connection)
        found = connection.execute(sa.select(periodic_work.c.next_us).where(periodic_work.c.name == name)).scalar()
        if found is not None and found > now_us:
            return False
        values = {"owner": owner, "next_us": now_us + round(claim_s * 1_000_000)}
        if found is None:
            connection.execute(periodic_work.insert().values(name=name, **values))
        else:
            connection.execute(periodic_work.update().where(periodic_work.c.name == name).values(**values))
    return True


def end(db: database.Database, name: str, owner: str, pause_s: float) -> None:
    """Lets the work be due again after a pause; no effect if somebody else has claimed it since."""
    with db.write(exclusive=False) as connection:
        next_us = database.now_us(connection) + round(pause_s * 1_000_000)
        own = (periodic_work.c.name == name, periodic_work.c.owner == owner)
        connection.execute(periodic_work.update().where(*own).values(next_us=next_us))
