"""Callers with accounts, and services that ask for them.

credentials       accounts in a service's database, and what they send
issuer            an identity provider
sign_in_issuer    one with a page at which people sign in
guarded_service   a service with ``--access required``
role_table        which role has which permission, as a text
started_service   a service that `boxwright access start` has set up, and nothing else
"""
