"""The table of methods, which routes requests and fills the discovery document.

Those that are answered come first; the others of Earth Engine are refused with a sentence each.
"""

from __future__ import annotations

from typing import NamedTuple

from tileserver.rest.method import ASSET, NUMBER, OPERATION, PROJECT, ROOT, Method
from tileserver.rest.refused import REFUSED, REFUSED_OF_NAMES

_LISTED = ("pageSize", "pageToken", "filter", "view")
_IMAGES = (*_LISTED, "startTime", "endTime", "region")

ANSWERED = (
    Method(
        "projects.algorithms.list",
        "GET",
        "{+parent}/algorithms",
        "list_algorithms",
        {"parent": PROJECT},
    ),
    Method(
        "projects.getConfig", "GET", "{+name}", "get_config", {"name": r"projects/[^/]+/config"}
    ),
    Method(
        "projects.listAssets",
        "GET",
        "{+parent}:listAssets",
        "list_assets",
        {"parent": ROOT},
        _LISTED,
        "Page",
    ),
    Method(
        "projects.listImages",
        "GET",
        "{+parent}:listImages",
        "list_images",
        {"parent": ROOT},
        _IMAGES,
        "Page",
    ),
    Method(
        "projects.value.compute",
        "POST",
        "{+project}/value:compute",
        "compute_value",
        {"project": PROJECT},
    ),
    Method(
        "projects.table.computeFeatures",
        "POST",
        "{+project}/table:computeFeatures",
        "compute_features",
        {"project": PROJECT},
        response="Page",
    ),
    Method(
        "projects.image.export",
        "POST",
        "{+project}/image:export",
        "export_image",
        {"project": PROJECT},
    ),
    Method(
        "projects.table.export",
        "POST",
        "{+project}/table:export",
        "export_table",
        {"project": PROJECT},
    ),
    Method(
        "projects.image.computePixels",
        "POST",
        "{+project}/image:computePixels",
        "compute_pixels",
        {"project": PROJECT},
    ),
    Method(
        "projects.maps.create",
        "POST",
        "{+parent}/maps",
        "create_map",
        {"parent": PROJECT},
        ("workloadTag",),
    ),
    Method(
        "projects.maps.tiles.get",
        "GET",
        "{+parent}/tiles/{zoom}/{x}/{y}",
        "get_tile",
        {"parent": r"projects/[^/]+/maps/[^/]+", "zoom": NUMBER, "x": NUMBER, "y": NUMBER},
    ),
    Method(
        "projects.thumbnails.create",
        "POST",
        "{+parent}/thumbnails",
        "create_thumbnail",
        {"parent": PROJECT},
        ("workloadTag",),
    ),
    Method(
        "projects.thumbnails.getPixels",
        "GET",
        "{+name}:getPixels",
        "get_thumbnail",
        {"name": r"projects/[^/]+/thumbnails/[^/]+"},
    ),
    Method(
        "projects.tables.create",
        "POST",
        "{+parent}/tables",
        "create_table",
        {"parent": PROJECT},
        ("workloadTag",),
    ),
    Method(
        "projects.tables.getFeatures",
        "GET",
        "{+name}:getFeatures",
        "get_table",
        {"name": r"projects/[^/]+/tables/[^/]+"},
    ),
    Method(
        "projects.assets.getPixels",
        "POST",
        "{+name}:getPixels",
        "get_pixels",
        {"name": ASSET},
    ),
    Method(
        "projects.assets.listAssets",
        "GET",
        "{+parent}:listAssets",
        "list_assets",
        {"parent": ASSET},
        _LISTED,
        "Page",
    ),
    Method(
        "projects.assets.listImages",
        "GET",
        "{+parent}:listImages",
        "list_images",
        {"parent": ASSET},
        _IMAGES,
        "Page",
    ),
    Method(
        "projects.assets.listFeatures",
        "GET",
        "{+asset}:listFeatures",
        "list_features",
        {"asset": ASSET},
        ("pageSize", "pageToken", "region", "filter"),
        "Page",
    ),
    Method(
        "projects.operations.list",
        "GET",
        "{+name}/operations",
        "list_operations",
        {"name": PROJECT},
        ("filter", "pageSize", "pageToken"),
        "Page",
    ),
    Method(
        "projects.operations.cancel",
        "POST",
        "{+name}:cancel",
        "cancel_operation",
        {"name": OPERATION},
    ),
    Method(
        "projects.operations.wait", "POST", "{+name}:wait", "wait_operation", {"name": OPERATION}
    ),
    Method("projects.operations.get", "GET", "{+name}", "get_operation", {"name": OPERATION}),
    Method("projects.operations.delete", "DELETE", "{+name}", "get_operation", {"name": OPERATION}),
    Method("projects.assets.get", "GET", "{+name}", "get_asset", {"name": ROOT + "|" + ASSET}),
)
"""In the order in which they are tried: a name may hold what looks like another path."""
_IDS = frozenset(each.id for each in ANSWERED)
METHODS = (
    *(each for each in REFUSED if each.id not in _IDS),
    *ANSWERED,
    *(each for each in REFUSED_OF_NAMES if each.id not in _IDS),
)
"""All of the API. What matches any name comes last, so that `name:verb` is tried before."""


class Found(NamedTuple):
    """The method of a path and its parameters."""

    method: Method
    parameters: dict[str, str]


def find_method(http_method: str, path: str) -> Found | tuple[str, ...]:
    """Return the method of a path below the version.

    If there is none, return the HTTP methods that the path allows, none for an unknown path.
    """
    verb = "GET" if http_method == "HEAD" else http_method
    others: list[str] = []
    for method in METHODS:
        match = method.expression.fullmatch(path)
        if match is None:
            continue
        if method.http_method == verb:
            return Found(method, match.groupdict())
        if not method.refusal:
            others.append(method.http_method)
        # `name:verb` of a POST is not an asset to GET, although it matches as a name.
        if ":" in method.path:
            break
    return tuple(others)
