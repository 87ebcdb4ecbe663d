"""Numbers and traces of a process; the only room that imports prometheus_client and opentelemetry.

    metric_table   every metric: its name, type, labels, and the values that a label may have
    metrics        the metrics of one process: rooms add to them, a scrape reads them
    trace_context  which trace a piece of work belongs to, as W3C's header says it
    spans          what takes time, as a tree; the current span of a thread or task
    otlp_traces    spans that are sent to an OpenTelemetry collector
    span_queue     finished spans on their way there: bounded, and waited for by nobody

Long-lived parents count and trace what their children tell them. No name of a project, caller, model, bucket, image or
machine is ever a label: each value of a label is in a list that is known before the first request.
"""
