"""Commands for who runs the service: accounts, keys and policies, directly in its database. No network path makes a key.

accounts_command  boxwright accounts: accounts, keys, API keys, tokens
iam_command       boxwright iam: roles of members on resources
buckets_command   boxwright buckets: buckets and folders that members may read and write
access_command    boxwright access: the first account; why a member may or may not
providers_command boxwright access providers: identity providers, and credentials files for their clients
credential_files  how credentials files are written
audit_command     boxwright audit: whether the audit log is as it was written
events_command    boxwright events: the secret that signs a project's events
opening           the database that the settings name, opened for a command
"""
