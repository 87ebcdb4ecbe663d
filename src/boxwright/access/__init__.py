"""Who is calling, and what they may do; the API servers and services get it handed in.

decide        lets calls pass, or not
exchange      POST /token: an access token for what an account, a person or a provider's token is
token_status  POST /introspect and /revoke: what a token is, and its end
impersonation access tokens of an account for who may speak for it
federation    whom the token of an identity provider speaks for
oidc_tokens   tokens of identity providers, and the keys that are taken
key_sets      keys of identity providers, got and kept
sign_in       where people sign in to the console
providers     identity providers, in the database
authenticate  headers to a caller
jwt_rules     tokens that accounts sign themselves
token_store   access tokens and refresh tokens in the database
policies      roles of members on resources, in the database
bucket_grants what members may read and write, in the database
accounts      accounts and their keys, in the database
key_files     key pairs, and the files that clients read
index         what the database says of access, in memory
members       the names by which policies know callers
roles         permissions and roles
secret_texts  the form of tokens and API keys
review        what an operator should know: what ends soon, what has no effect
audit         what the audit log says of a call
audit_log     the audit log: lines, each with the SHA-256 of the one before
audit_verification  what was changed in an audit log
redaction     credentials in texts and in the log of the process, replaced
quotas        how much callers may ask in a minute
refusals      every refusal, with its code, text and details
"""
