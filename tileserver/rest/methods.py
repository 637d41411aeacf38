"""The table of methods, which routes requests and fills the discovery document.

Paths are those of https://developers.google.com/earth-engine/reference/rest, below a version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

VERSIONS = ("v1", "v1beta", "v1alpha")
"""All alike: restee asks for v1beta, GDAL for v1alpha."""
PROJECT = r"projects/[^/]+"
ROOT = r"projects/[^/]+(?:/assets/?)?"
ASSET = r"(?:projects/[^/]+/assets|(?!projects/)[^/]+)/.+"
"""A name, or as ids are leniently taken for names, `COPERNICUS/S2/x`."""
_NUMBER = r"[^/]+"
_LISTED = ("pageSize", "pageToken", "filter", "view")
_IMAGES = (*_LISTED, "startTime", "endTime", "region")


@dataclass(frozen=True)
class Method:
    """One method."""

    id: str
    """As in the discovery document, after "earthengine."."""
    http_method: str
    path: str
    """Below the version, with parameters in braces; one with a plus may hold slashes."""
    handler: str
    """Name of the function in `handlers`."""
    patterns: Mapping[str, str]
    """Pattern of each parameter of the path, in order."""
    query: tuple[str, ...] = ()
    response: str = "Any"
    """Name of a schema in `discovery`; a page has a token for the next one."""
    expression: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the path."""
        parts = re.split(r"\{\+?(\w+)\}", self.path)
        texts = (
            f"(?P<{part}>{self.patterns[part]})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        object.__setattr__(self, "expression", re.compile("".join(texts), re.DOTALL))


METHODS = (
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
        {"parent": r"projects/[^/]+/maps/[^/]+", "zoom": _NUMBER, "x": _NUMBER, "y": _NUMBER},
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
    Method("projects.assets.get", "GET", "{+name}", "get_asset", {"name": ROOT + "|" + ASSET}),
)
"""In the order in which they are tried: a name may hold what looks like another path."""


class Found(NamedTuple):
    """The method of a path and its parameters."""

    method: Method
    parameters: dict[str, str]


def find_method(http_method: str, path: str) -> Found | tuple[str, ...]:
    """Return the method of a path below the version.

    If there is none, return the HTTP methods that the path allows, none for an unknown path.
    """
    verb = "GET" if http_method == "HEAD" else http_method
    others = []
    for method in METHODS:
        match = method.expression.fullmatch(path)
        if match is None:
            continue
        if method.http_method == verb:
            return Found(method, match.groupdict())
        others.append(method.http_method)
        # The path of a POST is not an asset to GET, although it matches as a name.
        break
    return tuple(others)
