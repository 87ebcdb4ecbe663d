"""Crash safety, files of labelled images, datasets, and stores that are called too often.

conversion   time and memory of `boxwright convert`
crash        soak test: kills processes while batches run
crash_world  part: the processes that are killed
curation     time of lists, summaries and changes of a large dataset
throttling   calls answered and wasted with a store that takes so many a second
"""
