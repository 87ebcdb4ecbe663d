"""Engines: they decide where images are predicted and how many at once, never what is found in them.

    engine           what an engine is, and the one of this machine: threads here, and peers
    opening          an engine made ready for a job: model, peers, watchdog
    shard_assembler  the one owner of a run's shards and counts: chunks out, lines in
    image_threads    the threads of a process: chunks in, lines out
    pipeline         one image all the way: read, decode, infer, encode
    peer_pool        the other processes of a run, seen from the one that leads
    peer_main        one of them
    in_flight        the journal of the images in flight in a process, and its watchdog
    convictions      the images of a job that crash or hang
    read_budget      how many images and bytes may be in memory
    loaded_models    the models that a process keeps loaded
    advice           what holds a job up and what helps, in a sentence
    stages           seconds per stage, amounts, and the bottleneck
    heap             freed memory goes back to the system

Every engine gives the same bytes for the same plan (ADR 0007).
"""
