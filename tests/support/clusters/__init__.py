"""Clusters.

claimed_gpus  a node that claims to have a GPU
ray_cluster   a Ray cluster of several nodes on this machine
"""
