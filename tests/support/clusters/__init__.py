"""Clusters.

ray_cluster   a Ray cluster of several nodes on this machine
"""
