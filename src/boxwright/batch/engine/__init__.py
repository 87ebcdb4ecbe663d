"""Engines: they decide where images are predicted and how many at once, never what is found in them.

    thread_engine   a plan on the threads of one process
    process_engine  a plan on several processes of this machine
    peer_pool       these processes, seen from the one that leads
    peer_main       one of them
    open_shards     shards whose images are under way
    in_flight       notes of the images under way, and of those that crash or hang
    read_budget     how many images and bytes may be in memory
    loaded_models   the models that a process keeps loaded
    stages          seconds per stage, and the bottleneck
    heap            freed memory goes back to the system

Every engine gives the same bytes for the same plan (ADR 0007).
"""
