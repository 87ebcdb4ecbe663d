"""Progress of the long steps: a bar on a terminal, a line per tenth elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich import console as rich_console
from rich import progress as rich_progress

NAME_WIDTH = 24


class ShowProgress(Protocol):
    """What a long step is handed: tell it how far the step is."""

    def __call__(self, percent: float, note: str = "") -> None:
        """Shows a percentage, 0 to 100, and a few words."""


class Reporter:
    """Writes the demo's story to standard output."""

    def __init__(self, console: rich_console.Console | None = None) -> None:
        self.console = console or rich_console.Console(highlight=False)

    def say(self, text: str = "") -> None:
        """One line, as it is."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[ShowProgress]:
        """Shows the progress of one step; the closing line says how long it took."""
        started_s = time.monotonic()
        with (self._bar if self.console.is_terminal else self._lines)(name) as show:
            yield show
        self.say(f"  {name:<{NAME_WIDTH}} done in {time.monotonic() - started_s:.1f} s")

    @contextlib.contextmanager
    def _bar(self, name: str) -> Iterator[ShowProgress]:
        columns = (
            rich_progress.TextColumn(f"  {{task.description:<{NAME_WIDTH}}}"),
            rich_progress.BarColumn(),
            rich_progress.TaskProgressColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TextColumn("{task.fields[note]}"),
        )
        with rich_progress.Progress(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(name, total=100, note="")

            def show(percent: float, note: str = "") -> None:
                bars.update(task, completed=percent, note=note)

            yield show

    @contextlib.contextmanager
    def _lines(self, name: str) -> Iterator[ShowProgress]:
        yield tenths(lambda percent, note: self.say(f"  {name:<{NAME_WIDTH}} {percent:3d} %{note and '  ' + note}"))


def tenths(write: Callable[[int, str], None]) -> ShowProgress:
    """Lets through the first call that reaches each further tenth, rounded down to it."""
    told = -1

    def show(percent: float, note: str = "") -> None:
        nonlocal told
        tenth = min(10, int(percent // 10))
        if tenth > told:
            told = tenth
            write(10 * tenth, note)

    return show
