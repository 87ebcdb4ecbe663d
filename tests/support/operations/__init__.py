"""Operations without a service.

ledgers           a ledger over a database file, drafts for it, a process that finishes operations
noted_ends        work whose events are noted, by processes that are killed at any moment
scraped           what a registry of metrics tells, read as Prometheus does
scripted_runner   a runner that does what a test says
"""
