"""The files of a batch prediction.

    json_lines     one image, one line
    sink           shards written once, errors gathered at the end: a writer and an account
    candidates     all that was found, down to a floor, as tables and as Parquet files
    score_counts   how many results have which score, of a shard and of many
    annotation_text  the annotations of many results at once, as bytes
    selected_results  what is published of a table
    result_formats  results as lines of JSON, CSV, Parquet and COCO, a shard at once; the table of formats
    tool_files     results in the formats of labelling tools: YOLO, VOC, CVAT, Label Studio, LabelMe, Vertex AI
    sidecars       the files beside a shard
    shard_writer   puts one shard, wherever it was worked out
    account        counts all of them, and closes the job
    finished_shards  which shards are there
    shard_reports  what is noted of finished shards
    shard_index    what became of every shard, in memory
    first_failures  what is told of failed images
    tombstone      which candidates were deleted, and when
    manifest       what was read and written, with digests
    candidate_deletion  deletes candidates, and leaves the tombstone
    verdict        whether too many images failed

Each object is written once, under a name that the plan decides (ADR 0005).
"""
