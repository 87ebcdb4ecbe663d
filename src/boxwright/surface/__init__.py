"""The API servers for gRPC and REST, driven by one table of methods."""
