"""The results of a batch prediction, for who looks at them.

    folder      an output folder, finished or growing: its shards, errors files, and whether there are candidates
    shard       the images of a shard with what was found, from candidates or from result lines
    summary     counts of a folder for a slider, from the ends of its files
    wanted      which results are asked for, by a filter and a threshold
    listing     pages of results in the order of the files
    ranking     pages of results in another order, ranked a part at a time
    members     images in archives, read again
    cache       what is kept in memory between calls

Nothing is written, and a call reads a bounded number of files for a bounded time (ADR 0047).
"""
