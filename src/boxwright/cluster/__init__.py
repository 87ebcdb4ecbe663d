"""One batch over the machines of a Ray cluster: the only room that imports ray.

    driver_main    the child whose engine is the cluster, for many jobs at the same time
    ray_engine     the engine: shards out to hosts, reports in, the account kept here
    blame          which image of a shard takes hosts down with it
    devices        whether a job's hosts have GPUs
    member_packs   members of archives on their way to hosts
    fleet          the hosts as one job sees them
    host_pool      the hosts of all jobs: asked for, shared, replaced, let go
    seats          what is known of each host, and of each job that uses them
    fair_slots     which job the next free place at a host is for
    autoscale      how many hosts the jobs want, by what waits
    host           an actor on a node
    host_work      its work: models, and the engine of one machine for a shard at a time
    host_answers   what it answers
    numeric        what decides the digits that a processor computes; hosts that differ take no part
    examination    what each node is and what it reaches, for ``boxwright doctor --cluster``
    connection     how a process joins the cluster, and which clusters it refuses
    cluster_share  what hosts have, and how many there may be

Ray places hosts and says who is gone. It carries shard numbers, the addresses of images and reports, some kilobytes a shard:
images come from the object stores and results go to them, on the node. It is told to retry nothing: shards are put once, and
the plan and the account, both in the state, say what is left (docs/adr/0054-shards-go-to-hosts.md).
"""
