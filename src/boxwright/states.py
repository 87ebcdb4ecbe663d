"""Every state machine of the house, as data: states, allowed moves, terminal set.

    operation    PENDING ──► RUNNING ──► SUCCEEDED
                  │  ▲         │  └────► FAILED
                  │  └─ drain ─┤  └────► CANCELLED
                  └────────────┼───────► CANCELLED
                     RUNNING ──┘ reclaim after the lease ran out (RUNNING ──► RUNNING)

    model        UNDEPLOYED ◄──► DEPLOYED

*Cancel requested* is a flag with a time on the operation, not a state. The tables' CHECK constraints are built from here.
"""

from __future__ import annotations

import enum


class OperationState(enum.StrEnum):
    """Where an operation stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


OPERATION_MOVES: dict[OperationState, frozenset[OperationState]] = {
    OperationState.PENDING: frozenset({OperationState.RUNNING, OperationState.CANCELLED}),
    OperationState.RUNNING: frozenset(OperationState),
    OperationState.SUCCEEDED: frozenset(),
    OperationState.FAILED: frozenset(),
    OperationState.CANCELLED: frozenset(),
}
OPERATION_TERMINAL = frozenset(state for state, moves in OPERATION_MOVES.items() if not moves)


class OperationKind(enum.StrEnum):
    """What an operation does; named after the rpc that starts it."""

    CREATE_DATASET = "create_dataset"
    DELETE_DATASET = "delete_dataset"
    IMPORT_DATA = "import_data"
    EXPORT_DATA = "export_data"
    CREATE_MODEL = "create_model"
    DELETE_MODEL = "delete_model"
    DEPLOY_MODEL = "deploy_model"
    UNDEPLOY_MODEL = "undeploy_model"
    EXPORT_MODEL = "export_model"
    BATCH_PREDICT = "batch_predict"
    IMPORT_MODEL = "import_model"


# what a process can be told to do, in an operator's words, and the operations that this means
WORK = {
    "train": (OperationKind.CREATE_MODEL,),
    "batch": (OperationKind.BATCH_PREDICT,),
    "import": (OperationKind.IMPORT_DATA, OperationKind.IMPORT_MODEL),
    "export": (OperationKind.EXPORT_DATA, OperationKind.EXPORT_MODEL, OperationKind.DELETE_DATASET),
}


class Priority(enum.StrEnum):
    """How many turns an operation gets among those of its project and kind."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class MlUse(enum.StrEnum):
    """The split that an example was imported for, in the import CSV's spelling."""

    TRAIN = "TRAIN"
    VALIDATION = "VALIDATION"
    TEST = "TEST"
    UNASSIGNED = "UNASSIGNED"


class ExampleState(enum.StrEnum):
    """Whether an example's labels are known: only labelled ones are learned from."""

    LABELED = "LABELED"
    UNLABELED = "UNLABELED"
    SUGGESTED = "SUGGESTED"  # its labels are a proposal that nobody has looked at


class AnnotationSource(enum.StrEnum):
    """Where a label of an image comes from; names of `curation_messages.AnnotationSource`."""

    IMPORTED = "IMPORTED"
    HUMAN = "HUMAN"
    MODEL = "MODEL"  # found by a model, and nobody has looked at it
    ACCEPTED = "ACCEPTED"  # found by a model, and somebody has said that it is right


class ClassificationType(enum.StrEnum):
    """How many labels an image of a classification dataset has; names of `ClassificationType`."""

    MULTICLASS = "MULTICLASS"  # one at most
    MULTILABEL = "MULTILABEL"  # any number


class DeploymentState(enum.StrEnum):
    """Whether a model answers online predictions; names of `Model.DeploymentState`."""

    DEPLOYED = "DEPLOYED"
    UNDEPLOYED = "UNDEPLOYED"
