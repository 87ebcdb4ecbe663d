"""Measurements of speed, memory, quality and crash safety. README.md lists the scripts.

batch     batch prediction
serving   start and latency of the API servers
storage   kills of processes, databases and object stores
training  networks and what training reaches
harness   what the scripts share
tables    makes tables of the documents from the results
"""
