"""The two doors, gRPC and REST, driven by one table of methods."""
