"""A map as one HTML file: Leaflet, tiles, values and legend in it, so that it opens offline."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from tileserver.contract.pixels import BandArrays
from tileserver.contract.tiles import Tile
from tileserver.http.page import page_folder
from tileserver.layers.exports import Export
from tileserver.layers.legends import legend, legend_json

MAX_BYTES = 5_000_000
_FRAME_BYTES = 220_000
"""Leaflet, the viewer and the rest, with room to spare; the legend is counted beside."""
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{leaflet_css}</style>
<style>{viewer_css}</style>
</head>
<body>
<div id="map" role="region" aria-label="Map of {title}; Enter reads values in its middle"></div>
<aside id="title" class="card"><h1>{title}</h1><img src="{legend}" alt="Legend of {title}"></aside>
<section id="values" class="card" aria-label="Values" aria-live="polite" hidden></section>
<script type="application/json" id="about">{about}</script>
<script type="application/json" id="tiles">{tiles}</script>
<script type="application/json" id="stored">{stored}</script>
<script>{leaflet_js}</script>
<script>{viewer_js}</script>
</body>
</html>
"""


class MapFile:
    """The content of a map in one file; zooms are added as long as there is room."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.zooms: list[int] = []
        self.tiles: dict[str, str] = {}
        self.values: dict[str, str] = {}
        """Of the highest zoom, by the tile's name."""
        self.bands: list[dict[str, Any]] = []
        self._found = self.bands
        self.legend = b64encode(legend(export.layer).encode()).decode()
        self._frame = _FRAME_BYTES + len(self.legend) + len(_script_json(_about(self)))

    @property
    def room(self) -> int:
        """Bytes that are left for a zoom and its values, as text; those of the last one go."""
        return MAX_BYTES - self._frame - _encoded(self.tiles)

    def packed(self, bands: BandArrays) -> str:
        """Return the values of a tile as the file has them, and note their types. Blocks."""
        self._found = _bands(self.export, bands)
        return b64encode(packed(bands)).decode()

    def add(
        self, zoom: int, pictures: Sequence[tuple[Tile, bytes]], values: dict[str, str]
    ) -> bool:
        """Add a zoom and return True; or False, and nothing is added, where it does not fit."""
        tiles = {name_of(tile): b64encode(body).decode() for tile, body in pictures}
        if _encoded(tiles) + _encoded(values) > self.room:
            return False
        self.tiles |= tiles
        if values:
            self.values, self.bands = values, self._found
        self.zooms.append(zoom)
        return True


def _encoded(texts: dict[str, str]) -> int:
    return sum(len(name) + len(text) + 6 for name, text in texts.items())


def name_of(tile: Tile) -> str:
    """Return the name of a tile in the file."""
    return f"{tile.z}/{tile.x}/{tile.y}"


def packed(bands: BandArrays) -> bytes:
    """Return the bits of each band's mask and its values, little-endian, compressed by zlib."""
    parts = []
    masked = bands.masked_to_zero()
    for index in range(len(bands.ids)):
        dtype = _dtype(bands, index)
        parts.append(np.packbits(bands.valid[index]).tobytes())
        parts.append(masked[index].astype(dtype.newbyteorder("<")).tobytes())
    return zlib.compress(b"".join(parts), 9)


def _dtype(bands: BandArrays, index: int) -> np.dtype[Any]:
    """Return the type of a band, as scripts have it: no integers of 64 bits."""
    dtype = bands.dtypes[index] if bands.dtypes else bands.values.dtype
    return dtype if dtype.itemsize <= 4 and dtype != np.float16 else np.dtype(np.float64)


def _bands(export: Export, bands: BandArrays) -> list[dict[str, Any]]:
    units = {band.id: band.notes.unit for band in export.layer.asset.bands}
    return [
        {"id": band_id, "dtype": _dtype(bands, index).name, "unit": units.get(band_id) or ""}
        for index, band_id in enumerate(bands.ids)
    ]


def _about(file: MapFile) -> dict[str, Any]:
    export = file.export
    return {
        "attribution": export.layer.definition.attribution or "",
        "box": list(export.box.unrolled()),
        "minzoom": min(file.zooms, default=0),
        "maxzoom": max(file.zooms, default=0),
        "fullzoom": export.layer.maxzoom,
        "bands": file.bands,
        "classes": legend_json(export.layer).get("classes"),
    }


def page_of(file: MapFile) -> bytes:
    """Return the HTML of a map. Blocks."""
    folder = page_folder()
    vendor = folder / "vendor" / "leaflet"
    script = (vendor / "leaflet.js").read_text("utf-8").partition("//# sourceMappingURL")[0]
    return _PAGE.format(
        policy=escape(_POLICY),
        title=escape(file.export.layer.title),
        leaflet_css=(vendor / "leaflet.css").read_text("utf-8"),
        viewer_css=(folder / "export" / "viewer.css").read_text("utf-8"),
        legend=f"data:image/svg+xml;base64,{file.legend}",
        about=_script_json(_about(file)),
        tiles=_script_json(file.tiles),
        stored=_script_json(file.values),
        leaflet_js=script,
        viewer_js=(folder / "export" / "viewer.js").read_text("utf-8"),
    ).encode()


def _script_json(document: Any) -> str:
    """Return JSON that no script element ends in."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
