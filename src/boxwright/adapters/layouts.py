"""The table of layouts: what the outputs of networks of others mean.

TABLE           every layout
of_name(name)   one of them
"""

from __future__ import annotations

from boxwright.adapters import grid_layouts, query_layouts
from boxwright.adapters.job import ALIASES
from boxwright.adapters.recognition import Layout, Look
from boxwright.adapters.source import Refused

TABLE: tuple[Layout, ...] = query_layouts.LAYOUTS + grid_layouts.LAYOUTS
TASK_KEY, END_TO_END_KEY = "task", "end2end"  # in the metadata that Ultralytics' exporters write


def of_name(name: str) -> Layout:
    """The layout of a name of `job.LAYOUTS`, or of a family that has it.

    Raises:
        Refused: there is none.
    """
    wanted = ALIASES.get(name, name)
    found = next((layout for layout in TABLE if layout.name == wanted), None)
    if found is None:
        raise Refused(f"layout: '{name[:80]}' is none of {', '.join(one.name for one in TABLE)}.")
    return found


def check_task(look: Look) -> None:
    """Refuses what the file or its outputs say to be something else than a detector that can be decoded."""
    task = look.metadata.get(TASK_KEY, "detect")
    if task != "detect":
        raise Refused(f"The file says that its task is '{task[:40]}'; only detectors are taken (task 'detect').")
    shapes = [arrays[0].shape for arrays in look.answers.values()]
    if any(len(shape) == 5 for shape in shapes):
        raise Refused(
            "The network has an output of five axes, one for each grid: it was exported without its last layer. Export it "
            "again with that layer."
        )


def by_metadata(look: Look) -> list[Layout]:
    """The layouts that an exporter's own words leave; all of them if it says nothing."""
    said = " ".join(look.metadata.get(key, "") for key in ("author", "description", "license")).lower()
    families = [one for one in TABLE if one.family and one.family in said]
    if not families:
        return list(TABLE)
    end_to_end = look.metadata.get(END_TO_END_KEY, "").lower()
    if end_to_end == "true":
        return [one for one in families if not one.is_suppressed]
    if end_to_end == "false":
        return [one for one in families if one.is_suppressed]
    return families
