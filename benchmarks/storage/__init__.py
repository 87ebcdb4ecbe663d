"""Crash safety.

crash        soak test: kills processes while batches run
crash_world  part: the processes that are killed
"""
