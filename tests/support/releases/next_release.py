"""A release after the present one: the same code with one revision more, as files beside it.

Its revision expands by a column, a table and an index, and contracts by an index and a column that it no longer has.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from tests.support.machine.waiting import PATIENCE_S

import boxwright
from boxwright.metadata import migrations

NEXT = f"{int(migrations.HEAD) + 1:04d}"
BOTH = f"{migrations.HEAD}..{NEXT}"
_REVISION = f'''"""One more.

Expands: a column, a table, an index. Contracts: an index, a column.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{NEXT}", "{migrations.HEAD}", None, None


def upgrade() -> None:
    """Expands."""
    op.add_column("datasets", sa.Column("note", sa.String(40), nullable=False, server_default="none"))
    op.create_table("notes", sa.Column("id", sa.String(40), primary_key=True))
    op.create_index("datasets_by_note", "datasets", ["note", "id"])


def contract() -> None:
    """Contracts."""
    op.drop_index("changes_of_dataset", "changes")
    op.drop_column("changes", "has_deleted")
'''


def make(folder: pathlib.Path) -> pathlib.Path:
    """Writes it below `folder`; returns what PYTHONPATH must name."""
    present, made = pathlib.Path(boxwright.__file__).parent, folder / "boxwright"
    made.mkdir(parents=True)
    for entry in present.iterdir():
        if entry.name not in ("metadata", "__pycache__"):
            (made / entry.name).symlink_to(entry)
    shutil.copytree(present / "metadata", made / "metadata", ignore=shutil.ignore_patterns("__pycache__"))
    history = made / "metadata" / "migrations"
    (history / "versions" / f"r{NEXT}_one_more.py").write_text(_REVISION)
    _edit(history / "__init__.py", f"range(1, {int(NEXT)})", f"range(1, {int(NEXT) + 1})")
    column = 'sa.Column("note", sa.String(40), nullable=False, server_default="none"),'
    _edit(
        made / "metadata" / "schema.py",
        '    sa.Index("datasets_newest_first"',
        f'    {column}\n    sa.Index("datasets_newest_first"',
    )
    return folder


def _edit(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def migrate(code: pathlib.Path | None, place: pathlib.Path | str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Runs `boxwright migrate` of the release in `code` (None: the present one) on a database."""
    command = [sys.executable, "-m", "boxwright.cli", "migrate", *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    if code is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(code), environment.get("PYTHONPATH", "")])
    if isinstance(place, pathlib.Path):
        command += ["--data-dir", str(place.parent)]
    else:
        environment["BOXWRIGHT_DATABASE_URL"] = place
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
