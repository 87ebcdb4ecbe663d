"""One batch over the machines of a Ray cluster: the only room that imports ray.

    driver_main   the inference child whose engine is the cluster
    ray_engine    the engine: shards out to hosts, reports in, the account kept here
    blame         which image of a shard takes hosts down with it
    fleet         the hosts of one job: asked for, used, replaced, let go
    host_pool     hosts that are kept for the next job
    host          an actor on a node
    host_work     its work: a model, and the engine of one machine for a shard at a time
    host_answers  what it answers
    numeric       what decides the digits that a processor computes; hosts that differ take no part
    connection    how a process joins the cluster, and which clusters it refuses
    cluster_share  what a job asks of the cluster

Ray places hosts and says who is gone. It carries shard numbers, the addresses of images and reports, some kilobytes a shard:
images come from the object stores and results go to them, on the node. It is told to retry nothing: shards are put once, and
the plan and the account, both in the state, say what is left (docs/adr/0054-shards-go-to-hosts.md).
"""
