"""Pages of the features of a stored table, for listFeatures.

A page token is the place of the next feature in the file. The filter is that of listAssets, on the
properties of features; the region is GeoJSON with straight edges in degrees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown
from tileserver.rest.filters import Test, parse_filter

if TYPE_CHECKING:
    from tileserver.geo.tables import Table

MAX_PAGE = 1000
"""https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/listFeatures."""
_CHECK_EVERY = 256


@dataclass(frozen=True)
class _Row:
    """A feature, as a filter of assets looks at it."""

    name: str
    properties: Mapping[str, Any]
    start_time: str | None = None
    end_time: str | None = None
    update_time: str | None = None
    size_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return its names."""
        return {"name": self.name, "id": self.name}


def features_page(table: Table, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of a table's features that a query asks for.

    Raises:
        InvalidRequest: a parameter is malformed; says which.
    """
    from tileserver.geo.tables import feature_json

    first, size = _number(query, "pageToken", 0), _number(query, "pageSize", MAX_PAGE)
    size = min(size or MAX_PAGE, MAX_PAGE)
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"type": "FeatureCollection", "features": found}
    for row in _rows(table, query, first):
        if len(found) == size:
            return page | {"nextPageToken": str(row)}
        found.append(feature_json(table, row))
    return page


def _rows(table: Table, query: Mapping[str, str], first: int) -> Iterator[int]:
    """Yield the places of the features that pass, from one on."""
    test = _test(query.get("filter", ""))
    for number, row in enumerate(_places(table, query.get("region", ""), first)):
        if number % _CHECK_EVERY == 0:
            check_time()
        if test is None or test(cast("Any", _Row(table.id(row), table.properties(row)))):
            yield row


def _places(table: Table, region: str, first: int) -> list[int]:
    from tileserver.geo.outlines import read_region
    from tileserver.geo.tables import rows_meeting

    if not region:
        return list(range(first, len(table)))
    try:
        shape = read_region(json.loads(region))
    except (ValueError, RecursionError):
        raise InvalidRequest(f"region: expected GeoJSON, got {shown(region)}.") from None
    return [row for row in rows_meeting(table, shape) if row >= first]


def _test(text: str) -> Test | None:
    if "intersects" in text:
        raise InvalidRequest(
            "filter: expected comparisons of properties; a place goes into region."
        )
    return parse_filter(text) if text else None


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"Invalid value at '{name}', {shown(text)}; expected a whole number.")
    return int(text)
