"""The service.

online   latency and rate of the API servers
startup  start of the service, first and later jobs
"""
