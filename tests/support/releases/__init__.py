"""Versions of the software beside the one that is checked out.

data_folder   data directories as released versions leave them: makes one, packs and unpacks it
next_release  the same code with one revision of the schema more
"""
