"""The console: the service's pages for a browser, and the routes that serve their files.

`files` reads the pages once and makes the routes; `bundles` puts modules together that are loaded together, and `trimming`
leaves out what only their readers need; `sign_in` says how people sign in. The pages are plain ES modules without a build
step: `app` (frame, router, API client, languages), `parts`, `pages`, `text` (languages) and `vendor` (libraries of others).
They use the public REST API only.
"""
