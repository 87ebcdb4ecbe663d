"""What a process says of itself to probes.

    readiness       whether the database, its schema and the service's own state can be used
    health_server   the port on which a process answers probes
    probes          both, for one process

Liveness is whether the process does its own work; nothing outside it makes it dead. Readiness is whether a request can be
served, and looks at what is outside.
"""
