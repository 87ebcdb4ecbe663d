"""Operations without a service.

ledgers           a ledger over a database file, drafts for it, a process that finishes operations
scripted_runner   a runner that does what a test says
"""
