"""Pages of assets in a folder, a collection or a project.

A page starts after the last name of the one before, so that assets added or removed between two
pages neither repeat nor hide others. An image that cannot be read is left out of pages that
describe images.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from tileserver.concurrency.time_limit import time_limit
from tileserver.contract.assets import ImageAsset
from tileserver.contract.names import is_root, short_name
from tileserver.errors import AssetNotFound, InvalidRequest, TileserverError, shown
from tileserver.rasters.folders import Folder, Tree
from tileserver.rest.filters import Test, parse_filter, region_filter, time_filter
from tileserver.tables.store import Tables

if TYPE_CHECKING:
    from tileserver.geo.tables import Table

MAX_PAGE = 1000
MAX_BASIC_PAGE = 10_000
"""https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/listAssets."""
DEFAULT_POLICY = "MEAN"
"""Earth Engine's own, of bands without a pyramiding policy."""
_IMAGE_S = 1.5
_VIEWS = ("", "EARTH_ENGINE_ASSET_VIEW_UNSPECIFIED", "FULL", "BASIC")

log = logging.getLogger(__name__)

MayRead = Callable[[str], bool]
"""Whether an asset may be read, by its full name."""


@dataclass(frozen=True)
class Page:
    """The page that a query asks for."""

    size: int
    token: str
    """`nextPageToken` of the page before; empty for the first page."""
    is_basic: bool
    tests: tuple[Test, ...] = ()
    """Tests that images must pass; with any, folders are left out."""
    only_images: bool = False


def read_page(query: Mapping[str, str], only_images: bool = False) -> Page:
    """Return the page that a query asks for; `only_images` reads the parameters of listImages.

    Raises:
        InvalidRequest: a parameter is malformed; says which.
    """
    view = query.get("view", "")
    if view not in _VIEWS:
        raise InvalidRequest(f"Invalid value at 'view', {shown(view)}; expected BASIC or FULL.")
    is_basic = view == "BASIC"
    tests = [parse_filter(query["filter"])] if query.get("filter") else []
    if only_images:
        start, end = query.get("startTime"), query.get("endTime")
        tests += [time_filter(start, end)] if start or end else []
        tests += [region_filter(query["region"])] if query.get("region") else []
    size = _page_size(query.get("pageSize", ""), MAX_BASIC_PAGE if is_basic else MAX_PAGE)
    return Page(size, query.get("pageToken", ""), is_basic, tuple(tests), only_images)


def _page_size(text: str, most: int) -> int:
    if not text:
        return most
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise InvalidRequest(
            f"Invalid value at 'page_size' (TYPE_INT32), {shown(text)}; expected a whole number, "
            "not below zero."
        )
    return min(int(text) or most, most)


def image_json(asset: ImageAsset) -> dict[str, Any]:
    """Return the EarthEngineAsset of an image, complete enough for GDAL and the `ee` client."""
    members = asset.to_json()
    for band in members["bands"]:
        band.setdefault("pyramidingPolicy", DEFAULT_POLICY)
    # Late, as it imports shapely, which tiles do without.
    from tileserver.geo.outlines import geometry_json

    geometry = geometry_json(asset)
    return members if geometry is None else members | {"geometry": geometry}


def basic_view(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the BASIC view of an EarthEngineAsset."""
    return {name: members[name] for name in ("type", "name", "id")}


def _last_name(token: str) -> str:
    """Return the last name of the page before."""
    try:
        return base64.b64decode(token.encode("ascii"), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise InvalidRequest(
            f"Invalid page token {shown(token)}; expected the nextPageToken of the page before."
        ) from None


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def table_json(table: Table) -> dict[str, Any]:
    """Return the EarthEngineAsset of a table."""
    return {
        "type": "TABLE",
        "name": table.name,
        "id": short_name(table.name),
        "updateTime": table.update_time,
        "sizeBytes": str(table.size_bytes),
        "featureCount": str(len(table)),
    }


def list_page(
    tree: Tree, parent: str, page: Page, may_read: MayRead, tables: Tables | None = None
) -> dict[str, Any]:
    """Return `assets` (or `images`) and, if there are more, `nextPageToken`; reads the disk.

    A project that is not configured has no assets; that is not an error.

    Raises:
        AssetNotFound: there is no such folder or collection.
        InvalidRequest: it is an image, or the page token is malformed.
    """
    if may_read(parent) and not tree.children(parent):
        kind = "an IMAGE" if tree.is_image(parent) else "a TABLE"
        if tree.is_image(parent) or tree.is_table(parent):
            raise InvalidRequest(f"Asset {parent!r} is {kind}, expected a folder or a collection.")
    if not is_root(parent) and not is_visible(tree, tree.folder(parent), may_read):
        raise AssetNotFound(parent)
    after = _last_name(page.token)
    images = _wanted(tree, parent, page, may_read, after)
    others = _tables(tree, parent, page, may_read, after, tables)
    wanted = heapq.merge(images, others, key=lambda each: each[0])
    found: list[dict[str, Any]] = []
    last = ""
    answer: dict[str, Any] = {}
    for name, members in wanted:
        if len(found) == page.size:
            answer["nextPageToken"] = _token(last)
            break
        found.append(members)
        last = name
    # proto3 omits empty members.
    kind = "images" if page.only_images else "assets"
    return {kind: found, **answer} if found else answer


def is_visible(tree: Tree, folder: Folder, may_read: MayRead) -> bool:
    """Return whether a folder may be read, or any image below it."""
    below = chain(tree.images_below(folder.name), tree.tables_below(folder.name))
    return may_read(folder.name) or any(map(may_read, below))


def _tables(
    tree: Tree, parent: str, page: Page, may_read: MayRead, after: str, tables: Tables | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables in a folder; those that cannot be read have no more than their names."""
    if page.only_images or page.tests:
        return
    for name in tree.tables(parent):
        if name > after and may_read(name):
            yield name, _table(name, None if page.is_basic else tables)


def _table(name: str, tables: Tables | None) -> dict[str, Any]:
    basic = {"type": "TABLE", "name": name, "id": short_name(name)}
    if tables is None:
        return basic
    try:
        # A table that takes long to read must not delay the others.
        with time_limit(_IMAGE_S):
            return table_json(tables.find(name))
    except TileserverError as exc:
        log.warning("a listing has no more than the name of a table: %s", exc)
        return basic


def _wanted(
    tree: Tree, parent: str, page: Page, may_read: MayRead, after: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for child in tree.children(parent):
        name = child if isinstance(child, str) else child.name
        if name <= after:
            continue
        members = (
            _image(tree, child, page, may_read)
            if isinstance(child, str)
            else _folder(tree, child, page, may_read)
        )
        if members is not None:
            yield name, members


def _image(tree: Tree, name: str, page: Page, may_read: MayRead) -> dict[str, Any] | None:
    if not may_read(name):
        return None
    if page.is_basic and not page.tests:
        return {"type": "IMAGE", "name": name, "id": short_name(name)}
    try:
        # An image whose outline takes long must not delay the others.
        with time_limit(_IMAGE_S):
            asset = tree.catalogue.find(name).asset
            if not all(test(asset) for test in page.tests):
                return None
            members = image_json(asset)
    except TileserverError as exc:
        log.warning("left out of a listing: %s", exc)
        return None
    return basic_view(members) if page.is_basic else members


def _folder(tree: Tree, folder: Folder, page: Page, may_read: MayRead) -> dict[str, Any] | None:
    if page.only_images or page.tests or not is_visible(tree, folder, may_read):
        return None
    try:
        members = folder.to_json()
    except TileserverError as exc:
        log.warning("left out of a listing: %s", exc)
        return None
    # Folders always have the BASIC view.
    return members if folder.is_collection and not page.is_basic else basic_view(members)
