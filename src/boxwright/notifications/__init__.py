"""Events of operations, sent to web addresses and folders that requests name.

destinations  which addresses a request may name, and which machines are connected to
signatures    secrets of projects, and the headers of Standard Webhooks
cloud_events  an operation's state as a CloudEvent
event_notes   puts events into the outbox, in the transaction that changes the operation
posting       one HTTPS request to a machine that was looked at
sender        takes events out of the outbox and delivers them
"""
