"""The files of a batch prediction.

    json_lines     one image, one line
    sink           shards written once, errors gathered at the end
    shard_reports  what is noted of finished shards
    shard_index    what became of every shard, in memory
    manifest       what was read and written, with digests
    verdict        whether too many images failed

Each object is written once, under a name that the plan decides (ADR 0005).
"""
