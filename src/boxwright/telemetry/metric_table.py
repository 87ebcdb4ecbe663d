"""Every metric: its name, type, labels, and the values that a label may have. docs/metrics.md says the same to people."""

from __future__ import annotations

import dataclasses

from google.rpc import code_pb2

from boxwright import states

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
OTHER = "other"  # a value that no list has

CODES = tuple(code_pb2.Code.keys())
PREDICTED = "predicted"
KINDS = tuple(kind.value for kind in states.OperationKind)
STAGES = ("reading_images", "decoding", "network", "postprocessing", "writing_results", "waiting")
METHODS = "method"  # its values come from the table of methods, which lies above

VALUES: dict[str, tuple[str, ...]] = {
    METHODS: (),
    "door": ("rest", "grpc"),
    "code": CODES,
    "kind": KINDS,
    "state": tuple(state.value for state in states.OperationState),
    "outcome": tuple(state.value.lower() for state in states.OPERATION_MOVES if not states.OPERATION_MOVES[state]),
    "end": ("done", "failed", "cancelled", "handed_back", "turn_over", "died", "lease_lost"),
    "result": (PREDICTED, *(code for code in CODES if code != "OK")),
    "stage": STAGES,
    "how": ("committed", "found"),
    "row": ("planned", "duplicate", "unusable"),
    "reason": ("crash", "silent"),
    "access": ("read", "write"),
    "look": ("database", "state", "process"),
    "loss": ("lost", "refused"),
    "scheme": ("state", "gs", "s3", "az", "file"),
    "call": ("read", "look", "list", "write", "delete"),
    "phase": ("preparing", "training", "exporting", "quantising", "evaluating"),
    "fate": ("sent", "not_sent", "dropped"),
}
CALL_BUCKETS_S = (0.01, 0.05, 0.25, 1.0, 5.0)
WORK_BUCKETS_S = (1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric as it is declared.

    Attributes:
        name: with its unit; a counter ends in ``_total``.
        type: COUNTER, GAUGE or HISTOGRAM.
        text: what it says, in one line.
        labels: names, each with its values in `VALUES`.
        buckets: upper bounds of a histogram, seconds.
    """

    name: str
    type: str
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


TABLE = (
    Metric(
        "boxwright_rpc_seconds",
        HISTOGRAM,
        "Time to answer a call whose caller is admitted, waiting for an operation included.",
        ("method", "door", "code"),
        CALL_BUCKETS_S,
    ),
    Metric("boxwright_rpc_in_flight", GAUGE, "Calls under way.", ("door",)),
    Metric("boxwright_waiting_calls", GAUGE, "Of these, calls that wait for an operation.", ("door",)),
    Metric(
        "boxwright_access_denied_total",
        COUNTER,
        "Calls refused by host, origin, credentials, permission or quota.",
        ("door", "code"),
    ),
    Metric("boxwright_operations", GAUGE, "Operations in the database; a service tells them.", ("kind", "state")),
    Metric(
        "boxwright_operation_oldest_pending_seconds",
        GAUGE,
        "Age of the operation that waits longest, 0 if none waits; a service tells it.",
        ("kind",),
    ),
    Metric(
        "boxwright_operation_seconds",
        HISTOGRAM,
        "Time from the start of an operation to the end that this process wrote.",
        ("kind", "outcome"),
        WORK_BUCKETS_S,
    ),
    Metric("boxwright_operation_attempts_total", COUNTER, "Attempts that ended here, by how.", ("kind", "end")),
    Metric("boxwright_lanes", GAUGE, "Lanes that take operations of this kind.", ("kind",)),
    Metric("boxwright_lanes_busy", GAUGE, "Attempts under way.", ("kind",)),
    Metric("boxwright_lease_renewal_seconds", HISTOGRAM, "Time to renew a lease.", (), CALL_BUCKETS_S),
    Metric("boxwright_leases_lost_total", COUNTER, "Attempts that lost their lease."),
    Metric("boxwright_images_total", COUNTER, "Images of shards that batch predictions finished here.", ("result",)),
    Metric("boxwright_image_stage_seconds_total", COUNTER, "Time of all threads on images.", ("stage",)),
    Metric("boxwright_shards_total", COUNTER, "Shards of batch predictions, written or found finished.", ("how",)),
    Metric("boxwright_plan_rows_total", COUNTER, "Rows of the lists of batch predictions that ended.", ("row",)),
    Metric("boxwright_children", GAUGE, "Inference children."),
    Metric("boxwright_child_deaths_total", COUNTER, "Inference children that died or were ended.", ("reason",)),
    Metric("boxwright_images_convicted_total", COUNTER, "Images left out because they crash or hang a child."),
    Metric("boxwright_hosts", GAUGE, "Hosts of a cluster that batch predictions of this process have."),
    Metric("boxwright_hosts_wanted", GAUGE, "Hosts of a cluster that they ask for, those included."),
    Metric("boxwright_host_losses_total", COUNTER, "Hosts that were lost, or compute otherwise.", ("loss",)),
    Metric("boxwright_models_loaded", GAUGE, "Models that are loaded for online prediction; a service tells them."),
    Metric("boxwright_model_load_seconds", HISTOGRAM, "Time to load one.", (), WORK_BUCKETS_S),
    Metric("boxwright_training_seconds_total", COUNTER, "Time of trainings, by what they are at.", ("phase",)),
    Metric(
        "boxwright_store_seconds",
        HISTOGRAM,
        "Time of a call of a store, waits and further attempts included.",
        ("scheme", "call", "code"),
        CALL_BUCKETS_S,
    ),
    Metric("boxwright_store_retries_total", COUNTER, "Further attempts at calls of stores.", ("scheme", "call")),
    Metric("boxwright_store_throttled_total", COUNTER, "Calls of stores that were answered 503 or 429."),
    Metric("boxwright_db_seconds", HISTOGRAM, "Time of a transaction.", ("access",), CALL_BUCKETS_S),
    Metric("boxwright_db_connections", GAUGE, "Connections to the database that are in use."),
    Metric("boxwright_ready", GAUGE, "1 where a look of /readyz finds nothing wrong, else 0.", ("look",)),
    Metric(
        "boxwright_certificate_expiry_timestamp_seconds",
        GAUGE,
        "When the certificate of an API server ends, since 1970; only with TLS.",
        ("door",),
    ),
    Metric("boxwright_spans_total", COUNTER, "Spans of traces that have ended here; only with traces.", ("fate",)),
    Metric("boxwright_build_info", GAUGE, "Always 1.", ("version", "schema")),
)
METRICS = {metric.name: metric for metric in TABLE}
