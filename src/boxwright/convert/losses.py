"""What a format cannot carry of what was read: counted and told before it is written."""

from __future__ import annotations

import pathlib

from boxwright import states
from boxwright.convert import account, dataset, formats, options

SEVERAL_SETS = "file that holds several sets: {} cannot say which image is in which"
NO_SETS = "image of a set, which {} cannot carry"


def tell(data: dataset.Dataset, target: pathlib.Path, to: formats.Format, told: account.Account) -> None:
    """Tells the marks, scores, sets and unused labels that are lost."""
    for mark in sorted(formats.ALL_MARKS - to.marks):
        count, place = data.marked(mark)
        told.note(f"mark '{mark}' of a box, which {to.title} cannot carry", place, count)
    if not to.carries_scores or (data.holds()[1] and not to.carries_label_scores):
        count, place = data.scored()
        told.note(f"score of a box or label, which {to.title} cannot carry", place, count)
    if not to.carries_unused:
        for label in data.unused_labels():
            told.note(f"label without a box, which {to.title} cannot carry", label)
    if not to.keeps_sets(target):
        _tell_sets(data, to, told)


def _tell_sets(data: dataset.Dataset, to: formats.Format, told: account.Account) -> None:
    splits = data.splits()
    if to.splits == formats.IN_FOLDERS:
        if len(splits) > 1:
            told.note(SEVERAL_SETS.format(to.title), ", ".join(options.SPLIT_NAMES[split] for split in splits))
        return
    for split in splits:
        if split is not states.MlUse.UNASSIGNED:
            count, place = data.of_split(split)
            told.note(NO_SETS.format(to.title), place, count)
