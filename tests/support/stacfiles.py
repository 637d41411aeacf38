"""STAC documents over the files of a scene, as catalogues on the Internet have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def asset(href: str, *bands: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return an asset of a GeoTIFF with bands of the EO extension."""
    listed = {"eo:bands": list(bands)} if bands else {}
    return {"href": href, "type": COG, "roles": ["data"], **listed, **more}


def scene_assets(base: str = "") -> dict[str, Any]:
    """Return the assets of `scenefiles.write_scene`, under keys of Earth Search."""
    return {
        "thumbnail": {"href": f"{base}thumbnail.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
        "granule_metadata": {"href": f"{base}metadata.xml", "type": "application/xml"},
        "blue": asset(
            f"{base}B02.tif", {"name": "B02", "common_name": "blue", "center_wavelength": 0.49}
        ),
        "red": asset(f"{base}B04.tif", {"name": "B04", "common_name": "red"}),
        "nir08": asset(f"{base}B8A.tif", {"name": "B8A", "common_name": "nir08"}),
        "scl": asset(f"{base}SCL.tif"),
        "red-jp2": {"href": f"{base}B04.jp2", "type": "image/jp2", "roles": ["data"]},
    }


def item(name: str, assets: Mapping[str, Any], **properties: Any) -> dict[str, Any]:
    """Return an item."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Point", "coordinates": [-112.16, 40.63]},
        "bbox": [-112.18, 40.61, -112.13, 40.65],
        "properties": {"datetime": "2024-06-01T18:49:19.123Z", **properties},
        "links": [],
        "assets": dict(assets),
    }


def container(
    kind: str, name: str, links: Sequence[tuple[str, str]], **members: Any
) -> dict[str, Any]:
    """Return a Catalog or a Collection with links, each a relation and an address."""
    return {
        "type": kind,
        "stac_version": "1.1.0",
        "id": name,
        "description": f"All of {name}.",
        "links": [{"rel": rel, "href": href} for rel, href in links],
        **members,
    }


def write(path: Path, document: object) -> Path:
    """Write a document and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path
