"""The methods that compute tables: the features of collections, page by page.

Each page computes the collection anew; a page's token is the place of its first feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from tileserver.errors import InvalidRequest, shown
from tileserver.rest.calls import Call, json_answer
from tileserver.rest.expression_methods import finite, loading, read_expression
from tileserver.wire import check_members

MAX_PAGE = 1000
"""https://developers.google.com/earth-engine/reference/rest/v1/projects.table/computeFeatures."""


async def compute_features(call: Call) -> Response:
    """Answer POST {project}/table:computeFeatures."""
    body = await call.json()
    check_members(body, "", ("expression", "pageSize", "pageToken", "workloadTag"))
    first, size = _page(body)
    expression = read_expression(body)
    with loading():
        features = await call.api.computer.features(expression)
    page = {"type": "FeatureCollection", "features": finite(features[first : first + size])}
    if first + size < len(features):
        page["nextPageToken"] = str(first + size)
    return json_answer(page)


def _page(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return which feature comes first, and how many come at most.

    Raises:
        InvalidRequest: the token or the size is none.
    """
    token, size = body.get("pageToken") or "0", body.get("pageSize") or MAX_PAGE
    if not (isinstance(token, str) and token.isascii() and token.isdigit() and len(token) < 9):
        raise InvalidRequest(f"Invalid value at 'page_token', {shown(token)}.")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidRequest(f"Invalid value at 'page_size', {shown(size)}; expected 1 to 1000.")
    return int(token), min(size, MAX_PAGE)
