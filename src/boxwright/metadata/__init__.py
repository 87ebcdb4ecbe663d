"""Stores: the SQL side. Tables, transactions, statements; knows nothing of requests."""
