"""Results of former batch predictions made again from their candidates: other thresholds, labels and formats, no inference.

    sources         the manifests that a request names, checked and frozen, and the files of candidates that they list
    shard_rewriter  one file of candidates to one shard
    rewriter        all of them, by worker processes: it takes the place of an engine
    worker_main     one of these processes

The bytes are those of a job that predicts the images (ADR 0036).
"""
