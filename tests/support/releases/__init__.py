"""Data directories as released versions leave them.

data_folder  makes one with the version that is checked out, packs and unpacks it
"""
