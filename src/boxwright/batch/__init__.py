"""Batch prediction: a list of images in, files with detections out.

    job         the batch as data, JSON in and out: what decides its bytes, and what a machine gives
    spec_file   what decides its bytes, kept for later attempts
    image_list  the lists that callers name
    plan        the list, frozen segment by segment
    output      shards, the notes about them, the manifest
    engine      reading, decoding and predicting on threads and processes
    rewrite     results made again from candidates, without inference
    child_main  the inference child: one job after another
    events      what a child process says
    child_pool  the inference children of a service
    tuning      how many processes suit a network on this machine

Which of them may import which is a contract in pyproject.toml.
"""
