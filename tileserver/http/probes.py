"""The handlers of probes, of metrics and of the settings of the page."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver import metrics
from tileserver.http.endpoints import services_of
from tileserver.http.response_cache import repeatable
from tileserver.http.responses import bytes_response, json_response


async def page_settings(request: Request) -> Response:
    """Answer GET /page.json: base maps, geocoder and outlines of land that the page can use."""
    return json_response(request, services_of(request).links.document, "no-cache")


async def healthz(request: Request) -> Response:
    """Answer GET /healthz: 200 while the event loop runs."""
    repeatable(request, lambda: True)
    return json_response(request, {"status": "ok"}, "no-store")


async def readyz(request: Request) -> Response:
    """Answer GET /readyz: 200 if this worker can take requests, else 503 and the reason."""
    verdict = await services_of(request).readiness.state()
    document = {"status": verdict.status}
    if verdict.reason:
        document["reason"] = verdict.reason
    response = json_response(request, document, "no-store")
    if not verdict.is_ready:
        response.status_code = 503
        response.headers["retry-after"] = "5"
    return response


async def figures(request: Request) -> Response:
    """Answer GET /metrics: the metrics of all workers, as Prometheus text."""
    body = await anyio.to_thread.run_sync(metrics.exposition)
    return bytes_response(request, body, metrics.MEDIA_TYPE, "no-store")
