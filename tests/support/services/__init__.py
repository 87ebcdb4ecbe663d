"""Running services, and the command line as a process.

authorities      certificate authorities, and what they sign
command_line     the command line as a person uses it, pointed at a service
env_service      a service and clients with nothing but what `boxwright client-env` prints
patient          the command line with a tuning that measures on a busy machine too
receiver         a receiver of events behind TLS
tls_process      a service behind TLS as a process: started, waited for, stopped
tls_service      a service behind TLS, with a certificate and an account of the tests' own
trace_collector  a collector of traces, which keeps the spans
worker_process   a `boxwright worker` on a service's files
"""
