"""The handler of the list of assets to choose from."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from tileserver.errors import NotFound
from tileserver.http.endpoints import base_url, key_parameter, linking_json, services_of
from tileserver.http.parameters import parse_query, parse_side

_MAX_LIMIT = 1000


async def assets(request: Request) -> Response:
    """Answer GET /assets?parent=&q=&after=&limit=: folders, collections and images to choose."""
    browser = services_of(request).browser
    if browser is None:
        raise NotFound("this server has no list of assets; /layers lists the layers")
    known = ("parent", "q", "after", "limit")
    parameters = parse_query(request.scope["query_string"], known)
    limit = parse_side("limit", parameters, _MAX_LIMIT) or 100
    parent, text, after = (parameters.get(name, "") for name in ("parent", "q", "after"))
    found = await browser.page(parent, text, after, limit)
    same = {name: parameters[name] for name in ("parent", "q") if name in parameters}
    following = None
    if found.after is not None:
        page = {**same, "after": found.after, "limit": str(limit), **key_parameter(request)}
        following = f"{base_url(request)}/assets?{urlencode(page)}"
    return linking_json(request, {"assets": list(found.assets), "next": following})
