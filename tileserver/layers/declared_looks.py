"""Default styles from an asset's own properties: Earth Engine's visualization properties.

The images and collections of Earth Engine's catalogue have `visualization_0_bands`, `_min`, `_max`
and `_palette`, with or without `system:` before them; `rasters/stac` writes them for items with the
Render extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tileserver.contract.assets import ImageAsset
from tileserver.errors import InvalidRequest
from tileserver.layers.styles import Style, parse_style
from tileserver.rendering.render import check_options

_PREFIXES = ("visualization_0_", "system:visualization_0_")
_PARAMETERS = ("bands", "min", "max", "palette", "gamma")
_MAX_TEXT = 4000


def declared_look(asset: ImageAsset) -> Style | None:
    """Return the style that an asset's properties tell, or None if they tell none that fits it."""
    for prefix in _PREFIXES:
        if f"{prefix}bands" in asset.properties:
            said = _texts(asset.properties, prefix)
            # A colour map that is not known here hides nothing of the rest.
            plain = {name: text for name, text in said.items() if name != "palette"}
            return _style(asset, said) or _style(asset, plain)
    return None


def _style(asset: ImageAsset, parameters: Mapping[str, str]) -> Style | None:
    try:
        style = parse_style(parameters)
        asset.indexes(style.bands)
        options = style.options()
        if len(style.bands) not in (1, 3):
            return None
        check_options(options, len(style.bands))
    except InvalidRequest:
        return None
    return style


def _texts(properties: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Return the parameters of a style as they would be in a URL."""
    given = {name: properties.get(f"{prefix}{name}") for name in _PARAMETERS}
    texts = {name: _text(value) for name, value in given.items() if value is not None}
    return {name: text for name, text in texts.items() if text and len(text) <= _MAX_TEXT}


def _text(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return ",".join(str(part).strip() for text in parts for part in str(text).split(","))
