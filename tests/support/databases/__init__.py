"""Databases.

large_dataset  a dataset of any size, written as rows
postgres       a PostgreSQL server of the tests' own
rough_line     a line to a server that can be cut or fall silent
"""
