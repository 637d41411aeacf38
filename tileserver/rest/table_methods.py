"""The methods that compute tables: the features of collections, page by page.

Each page computes the collection anew; a page's token is the place of its first feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from tileserver.disconnects import while_connected
from tileserver.errors import InvalidRequest, shown
from tileserver.rest.calls import Call, json_answer
from tileserver.rest.expression_methods import finite, loading, read_expression
from tileserver.wire import check_members

MAX_PAGE = 1000
"""https://developers.google.com/earth-engine/reference/rest/v1/projects.table/computeFeatures."""


async def compute_features(call: Call) -> Response:
    """Answer POST {project}/table:computeFeatures."""
    expression, first, size = await call.json(_asked)
    with loading():
        features = await while_connected(
            call.request.receive, call.api.computer.features(expression)
        )
    return await call.api.in_thread(_answer, features, first, first + size)


def _answer(features: list[Any], first: int, end: int) -> Response:
    page = {"type": "FeatureCollection", "features": finite(features[first:end])}
    return json_answer(page | {"nextPageToken": str(end)} if end < len(features) else page)


def _asked(body: Any) -> tuple[str, int, int]:
    check_members(body, "", ("expression", "pageSize", "pageToken", "workloadTag"))
    return read_expression(body), *_page(body)


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
