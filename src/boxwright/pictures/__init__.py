"""Pictures for people: decoded by our decoder and encoded again, so that our origin shows no bytes of callers.

builder     what is asked for pictures: at most once at a time, from the cache if it is there
cache       files of finished pictures, the least recently used out first
decoders    processes without secrets that decode
child_main  such a process
rendering   an image's bytes to a JPEG of a given size, or of a part
"""
