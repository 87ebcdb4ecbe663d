"""Commands for people that are clients of a running service: they use its public REST API and nothing else."""
