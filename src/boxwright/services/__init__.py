"""The meaning of a request: validate, look up, write one row, answer. Never does long work."""
