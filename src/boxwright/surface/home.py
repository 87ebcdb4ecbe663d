"""The page at ``/``: says what listens here, in a browser. It holds no data, and no script."""

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
