"""The page at ``/``: says what listens here, or leads browsers to the console. It holds no data, and no script."""

from __future__ import annotations

from starlette import requests, responses

import boxwright

_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Boxwright</title>
<h1>Boxwright {boxwright.__version__}</h1>
<p>A self-hosted service for object detection, compatible with the AutoML Vision API, version 1.</p>
<p>Programs reach it under <code>/v1/</code>. The methods: <a href="/v1/openapi.json">OpenAPI description</a>.
Health: <a href="/healthz">alive</a>, <a href="/readyz">ready</a>.</p>
<p>On the command line: <code>boxwright --help</code>.</p>
</html>
"""


async def show(request: requests.Request) -> responses.Response:
    """Answers with the page."""
    return responses.HTMLResponse(_PAGE, headers={"cache-control": "no-store"})


async def lead(request: requests.Request) -> responses.Response:
    """Leads browsers to the console, by a relative address; programs get the page."""
    if "text/html" not in request.headers.get("accept", ""):
        return await show(request)
    return responses.Response(status_code=307, headers={"cache-control": "no-store", "location": "console/"})
