"""How many batch predictions of a project may wait, and how many images it may have worked on in a day.

Images are counted by the day of UTC in which they were worked on, with those that failed and without those that an earlier
attempt had finished. What has begun goes on when the day's images are used up: only new jobs are refused.
"""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from boxwright import errors, states
from boxwright.metadata import database
from boxwright.metadata.schema import image_days, operations

DAY_US = 86_400_000_000
KEPT_DAYS = 7


def check_waiting(connection: sa.Connection, project: str, most: int) -> None:
    """Lets a project start a batch prediction, or not; in an exclusive transaction. `most` 0: without limit.

    Raises:
        ApiError: RESOURCE_EXHAUSTED: `most` of them wait already.
    """
    if not most:
        return
    waiting = connection.execute(
        sa.select(sa.func.count()).where(
            operations.c.charged_project == project,
            operations.c.kind == states.OperationKind.BATCH_PREDICT,
            operations.c.state == states.OperationState.PENDING,
        )
    ).scalar_one()
    if waiting >= most:
        raise errors.quota_exceeded(
            f"{waiting} batch predictions of project {project} wait, and {most} may (setting batch_jobs_waiting_max). The "
            "next one is taken as soon as one of them begins; wait for that, or cancel some.",
            project,
            "batch_jobs_waiting_max",
            most,
        )


def check_images(connection: sa.Connection, project: str, most: int) -> None:
    """Lets a project start a batch prediction, or not. `most` 0: without limit.

    Raises:
        ApiError: RESOURCE_EXHAUSTED: `most` images were worked on today.
    """
    if not most:
        return
    today = database.now_us(connection) // DAY_US
    own = (image_days.c.project == project, image_days.c.day == today)
    found = connection.execute(sa.select(image_days.c.images).where(*own)).scalar() or 0
    if found >= most:
        tomorrow = datetime.datetime.fromtimestamp((today + 1) * DAY_US // 1_000_000, datetime.UTC)
        raise errors.quota_exceeded(
            f"Batch predictions of project {project} have worked on {found} images today, and may on {most} (setting "
            f"batch_images_a_day_max). The next one is taken from {tomorrow:%Y-%m-%dT%H:%M:%SZ} on.",
            project,
            "batch_images_a_day_max",
            most,
        )


def count_images(connection: sa.Connection, project: str, images: int) -> None:
    """Counts images of a project that were worked on, and forgets days that nobody asks for."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    today = database.now_us(connection) // DAY_US
    added = insert(image_days).values(project=project, day=today, images=images)
    more = {"images": image_days.c.images + images}
    connection.execute(added.on_conflict_do_update(index_elements=["project", "day"], set_=more))
    old = (image_days.c.project == project, image_days.c.day < today - KEPT_DAYS)
    connection.execute(image_days.delete().where(*old))
