"""Batch prediction: folders, lists and archives of images in, files with results out.

    job         the batch as data, JSON in and out: what decides its bytes, and what a machine gives
    spec_file   what decides its bytes, kept for later attempts
    policy      what decides the candidates of an image besides its bytes
    entry       one image that an input names
    read_ahead  many objects read at once, in order
    image_list  lists of images: CSV files, JSON Lines, errors files
    inputs      lists, folders, patterns and archives, told apart and read
    turn_file   what a turn knew, kept for the next one on this machine
    segments    the images of a plan, one by one and a shard at a time
    met_digests  the ids that a plan has met, in bounded memory
    row_judge   what rows are, and when too many are unusable
    cut_builder   which rows are the next shard's
    plan_index  where in the lists each shard's images stand, in blocks
    plan_checkpoints  how far the lists are read, for who plans on
    planner     the thread that reads the lists ahead and puts the index
    plan        the inputs, frozen before their shards start
    output      shards, the notes about them, the manifest
    engine      reading, decoding and predicting on threads and processes
    reuse       results of a former job for images that have not changed
    estimate    a dry run: what a job would read, take and write
    rewrite     results made again from candidates, without inference
    report      what the results of a job say, as a page and lists
    results     the results of a job, for who looks at them
    job_progress  what an inference child says of a job while it goes on
    child_main  the inference child: one job after another
    events      what a child process says
    store_waits  that a process waits for a store that is called too often
    child_pool  the inference children of a service
    channels    one child that runs many jobs, as children that each run one
    tuning      how many processes suit a network on this machine

Which of them may import which is a contract in pyproject.toml.
"""
