"""Numbers about a process, for Prometheus; the only room that imports prometheus_client.

    metric_table  every metric: its name, type, labels, and the values that a label may have
    metrics       the metrics of one process: rooms add to them, a scrape reads them

Long-lived parents count what their children tell them. No name of a project, caller, model, bucket, image or machine is ever
a label: each value of a label is in a list that is known before the first request.
"""
