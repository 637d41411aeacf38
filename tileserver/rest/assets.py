"""Images as EarthEngineAsset, complete enough for GDAL and the official client."""

from __future__ import annotations

from typing import Any

from tileserver.contract.assets import ImageAsset
from tileserver.geo.outlines import geometry_json

DEFAULT_POLICY = "MEAN"
"""Earth Engine's own, where nothing else is said."""
_BASIC = ("type", "name", "id")


def image_json(asset: ImageAsset) -> dict[str, Any]:
    """Return the EarthEngineAsset of an image."""
    members = asset.to_json()
    for band in members["bands"]:
        band.setdefault("pyramidingPolicy", DEFAULT_POLICY)
    geometry = geometry_json(asset)
    if geometry is not None:
        members["geometry"] = geometry
    return members


def basic(members: dict[str, Any]) -> dict[str, Any]:
    """Return the BASIC view of an asset."""
    return {name: members[name] for name in _BASIC}
