"""Crash safety, and files of labelled images.

conversion   time and memory of `boxwright convert`
crash        soak test: kills processes while batches run
crash_world  part: the processes that are killed
"""
