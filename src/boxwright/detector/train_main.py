"""The process that trains a detector: `python -m boxwright.detector.train_main JOB_DIR`; see `learning.training_child`."""

from __future__ import annotations

from boxwright.learning import training_child


def _session() -> training_child.Session:
    from boxwright.detector import session

    return session.run


if __name__ == "__main__":
    training_child.start(_session)
