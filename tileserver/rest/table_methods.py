"""The methods that compute tables: the features of collections, in pages or as a file.

Each page computes the collection anew; a page token is the index of its first feature. A file
is also computed when its URL is created, so that a faulty expression is refused then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tileserver.contract.names import full_name
from tileserver.contract.wire import check_members
from tileserver.errors import InvalidRequest, shown
from tileserver.exports.table_files import FORMATS
from tileserver.http.disconnects import while_connected
from tileserver.rest.asset_metadata import LocalAssets
from tileserver.rest.call import Call, json_answer
from tileserver.rest.expression_methods import (
    file_stem,
    found,
    loading,
    read_expression,
    stored,
)

MAX_PAGE = 1000
"""https://developers.google.com/earth-engine/reference/rest/v1/projects.table/computeFeatures."""


async def compute_features(call: Call) -> Response:
    """Answer POST {project}/table:computeFeatures."""
    expression, first, size = await call.json(_page_request)
    with loading():
        features = await while_connected(
            call.request.receive, call.api.computer.features(expression)
        )
    return await call.api.in_thread(_answer, features, first, first + size)


def _answer(features: list[Any], first: int, end: int) -> Response:
    page = {"type": "FeatureCollection", "features": features[first:end]}
    return json_answer(page | {"nextPageToken": str(end)} if end < len(features) else page)


def _page_request(body: Any) -> tuple[str, int, int]:
    check_members(body, "", ("expression", "pageSize", "pageToken", "workloadTag"))
    return read_expression(body), *_page(body)


def _page(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return the index of the first feature and the largest number of features.

    Raises:
        InvalidRequest: the token or the size is malformed.
    """
    token, size = body.get("pageToken") or "0", body.get("pageSize") or MAX_PAGE
    if not (isinstance(token, str) and token.isascii() and token.isdigit() and len(token) < 9):
        raise InvalidRequest(f"Invalid value at 'page_token', {shown(token)}.")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidRequest(f"Invalid value at 'page_size', {shown(size)}; expected 1 to 1000.")
    return int(token), min(size, MAX_PAGE)


async def list_features(call: Call) -> Response:
    """Answer GET {asset}:listFeatures."""
    name = full_name(call.path["asset"])
    assets = call.api.assets.find(f"{name}/")
    if not isinstance(assets, LocalAssets):
        raise InvalidRequest(f"Asset {name[:200]!r} is no table of this server.")
    page = await assets.list_features(name, call.query)
    return await call.api.in_thread(json_answer, page)


@dataclass(frozen=True)
class _Table:
    """The contents of a file."""

    expression: str
    file_format: str
    columns: tuple[str, ...] | None
    name: str


async def create_table(call: Call) -> Response:
    """Answer POST {parent}/tables."""
    table, body = await call.json(lambda body: (_table(body), body))
    await _features(call, table)
    return await stored(call, "tables", body)


async def get_table(call: Call) -> Response:
    """Answer GET {name}:getFeatures; it needs no credentials."""
    _, _, table_id = call.path["name"].partition("/tables/")
    table = await found(call, "tables", table_id, _table)
    features = await _features(call, table)
    write, suffix, media_type = FORMATS[table.file_format]
    content = await call.api.in_thread(write, features, table.columns)
    headers = {
        "cache-control": "private, no-store",
        "content-disposition": f'attachment; filename="{table.name}.{suffix}"',
    }
    return Response(content, headers=headers, media_type=media_type)


async def _features(call: Call, table: _Table) -> list[dict[str, Any]]:
    features = call.api.computer.features(table.expression)
    with loading():
        return await while_connected(call.request.receive, features)


def _table(body: Any) -> _Table:
    """Return the table that a body describes.

    Raises:
        InvalidRequest: a member is malformed; says which.
    """
    check_members(
        body, "", ("name", "expression", "fileFormat", "selectors", "filename", "workloadTag")
    )
    file_format, columns = body.get("fileFormat") or "CSV", body.get("selectors")
    if not isinstance(file_format, str) or file_format not in FORMATS:
        raise InvalidRequest(
            f"Invalid value at 'file_format', {shown(file_format)}; "
            f"expected {' or '.join(FORMATS)}."
        )
    if columns is not None and not (
        isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    ):
        raise InvalidRequest(f"Invalid value at 'selectors', {shown(columns)}.")
    name = body.get("filename")
    if name is not None and not isinstance(name, str):
        raise InvalidRequest(f"Invalid value at 'filename', {shown(name)}.")
    chosen = None if not columns else tuple(columns)
    return _Table(read_expression(body), file_format, chosen, file_stem(name or "table"))
