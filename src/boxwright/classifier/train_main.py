"""The process that trains a classifier: `python -m boxwright.classifier.train_main JOB_DIR` (`learning.training_child`)."""

from __future__ import annotations

from boxwright.learning import training_child


def _session() -> training_child.Session:
    from boxwright.classifier import session

    return session.run


if __name__ == "__main__":
    training_child.start(_session)
