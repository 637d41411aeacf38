"""The settings of a layer: which image, and how it is drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from tileserver.config import kinds
from tileserver.config.fields import Given, KeyPath, Values, setting, unexpected
from tileserver.contract.grids import Box
from tileserver.errors import ConfigError, InvalidRequest
from tileserver.expressions.document import (
    FULL_ZOOM,
    MAX_BYTES,
    REDUCERS,
    Composite,
    Computed,
    cloud_property,
    read_expression,
    to_text,
)

_ZOOM = kinds.whole(0, 24)
_ASSET = kinds.text("the name of an asset", r"[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?")
_FILE = replace(kinds.text("a file", r"[^\x00-\x1f]*\S[^\x00-\x1f]*"), is_path=True)
_IMAGES = {
    "asset": (),
    "expression": ("bounds",),
    "collection": ("start", "end", "bounds", "reduce", "max_cloud"),
}
"""What may be drawn, and the keys that go with it."""


def _day(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("no day")
    return date.fromisoformat(value).isoformat()


def _bounds(value: object) -> Box:
    west, south, east, north = kinds.NUMBERS.parse(value)
    if not (-180 <= west < 180 and west < east <= west + 360 and -90 <= south < north <= 90):
        raise ValueError("no rectangle")
    return Box(west, south, east, north)


def _reducer(value: object) -> str:
    if not isinstance(value, str) or value not in REDUCERS:
        raise ValueError("not known")
    return value


def _side(value: object) -> int:
    side = kinds.whole(1, 8).parse(value)
    if side & (side - 1):
        raise ValueError("no power of two")
    return int(side)


_DAY = kinds.Kind('a day such as "2020-04-01"', _day)
_BOUNDS = kinds.Kind(
    "[west, south, east, north] in degrees, west below east, which may lie past 180",
    _bounds,
    kinds.NUMBERS.from_text,
)
_REDUCER = kinds.Kind(f"one of {', '.join(REDUCERS)}", _reducer)

_SIDE = kinds.Kind("1, 2, 4 or 8", _side, from_text=int)


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """One [layers.NAME]: an image and how it is drawn."""

    name: str
    """Letters, digits, ".", "_" and "-", at most 64; begins with a letter or a digit."""
    asset: str | None = field(
        default=None,
        metadata=setting(
            _ASSET, "name of the asset to draw; a layer has this, an expression or a collection"
        ),
    )
    title: str | None = field(
        default=None, metadata=setting(kinds.TEXT, "what people read; else the name")
    )
    description: str | None = field(
        default=None, metadata=setting(kinds.TEXT, "a sentence or more about the layer")
    )
    attribution: str | None = field(
        default=None, metadata=setting(kinds.TEXT, "credit shown on the map")
    )
    bands: tuple[str, ...] = field(
        default=(), metadata=setting(kinds.TEXTS, "bands to draw: one, or red, green and blue")
    )
    min: tuple[float, ...] = field(
        default=(),
        metadata=setting(
            kinds.NUMBERS, "value drawn darkest, one or one per band; else from statistics"
        ),
    )
    max: tuple[float, ...] = field(
        default=(),
        metadata=setting(
            kinds.NUMBERS, "value drawn brightest, one or one per band; else from statistics"
        ),
    )
    palette: tuple[str, ...] = field(
        default=(), metadata=setting(kinds.PALETTE, "colours from min to max, for one band")
    )
    gamma: float | None = field(
        default=None,
        metadata=setting(
            kinds.number("a number above 0", lambda value: value > 0),
            "exponent is 1/gamma: above 1 brightens",
        ),
    )
    opacity: float | None = field(
        default=None,
        metadata=setting(
            kinds.number("a number from 0 to 1", lambda value: 0 <= value <= 1),
            "0 is transparent, 1 is opaque",
        ),
    )
    minzoom: int | None = field(
        default=None, metadata=setting(_ZOOM, "lowest zoom offered; else from the asset")
    )
    maxzoom: int | None = field(
        default=None, metadata=setting(_ZOOM, "highest zoom offered; else from the asset")
    )
    visible: bool = field(
        default=True, metadata=setting(kinds.FLAG, "whether the page shows it from the start")
    )
    class_names: tuple[str, ...] = field(
        default=(),
        metadata=setting(kinds.TEXTS, "names of the classes in the legend, one per colour"),
    )
    tiles_per_side: int | None = field(
        default=None,
        metadata=setting(
            _SIDE, "tiles on one side of the blocks in which Earth Engine is asked; else 4"
        ),
    )
    expression: str | None = field(
        default=None,
        metadata=setting(
            _FILE,
            "file with what ee.Image.serialize() writes, for Earth Engine to compute; "
            "in a file, relative to the folder of that file",
        ),
    )
    collection: str | None = field(
        default=None,
        metadata=setting(_ASSET, "name of the collection whose images make up the one to draw"),
    )
    start: str | None = field(
        default=None, metadata=setting(_DAY, "first day of a collection's images")
    )
    end: str | None = field(
        default=None, metadata=setting(_DAY, "the day after the last of a collection's images")
    )
    bounds: Box | None = field(
        default=None,
        metadata=setting(
            _BOUNDS, "the only place drawn of a collection or an expression; else all there is"
        ),
    )
    reduce: str = field(
        default="mosaic",
        metadata=setting(_REDUCER, "what makes one image of a collection's, at each pixel"),
    )
    max_cloud: float | None = field(
        default=None,
        metadata=setting(
            kinds.number("per cent, above 0 and at most 100", lambda value: 0 < value <= 100),
            "images of a Sentinel-2 or Landsat collection with fewer clouds only",
        ),
    )


def check_layer(layer: LayerSettings, values: Values) -> None:
    """Refuse settings of a layer that contradict each other.

    Raises:
        ConfigError: as for `load_config`.
    """
    at = ("layers", layer.name)
    _check_image(layer, values, at)
    for key, found in (("min", layer.min), ("max", layer.max)):
        if layer.bands and len(found) not in {0, 1, len(layer.bands)}:
            raise unexpected(
                values[*at, key], f"one number, or one for each of {len(layer.bands)} bands"
            )
    if layer.min and layer.max:
        _check_range(layer, values, at)
    if layer.minzoom is not None and layer.maxzoom is not None and layer.minzoom > layer.maxzoom:
        raise unexpected(values[*at, "maxzoom"], f"at least minzoom, which is {layer.minzoom}")


def _check_range(layer: LayerSettings, values: Values, at: KeyPath) -> None:
    given: Given = values[*at, "max"]
    count = max(len(layer.min), len(layer.max))
    if not {len(layer.min), len(layer.max)} <= {1, count}:
        raise unexpected(given, f"one number, or as many as min has, which is {len(layer.min)}")
    lows, highs = (each * count if len(each) == 1 else each for each in (layer.min, layer.max))
    for low, high in zip(lows, highs, strict=True):
        if low >= high:
            raise unexpected(given, f"more than min, which is {low:g}")


def _check_image(layer: LayerSettings, values: Values, at: KeyPath) -> None:
    """Refuse a layer of no image or of several, and what does not go with its kind."""
    given = [key for key in _IMAGES if (*at, key) in values]
    if len(given) != 1:
        came = " and ".join(given) or "none"
        raise ConfigError(
            f"{values[at].place} needs one of asset, expression and collection, got {came}"
        )
    for key in ("start", "end", "bounds", "reduce", "max_cloud"):
        if (*at, key) in values and key not in _IMAGES[given[0]]:
            fitting = " or ".join(kind for kind, keys in _IMAGES.items() if key in keys)
            raise ConfigError(f"{values[*at, key].place}: goes with {fitting}, not with {given[0]}")
    if layer.collection:
        _check_collection(layer.collection, layer, values, at)


def _check_collection(collection: str, layer: LayerSettings, values: Values, at: KeyPath) -> None:
    if (layer.start is None) != (layer.end is None):
        missing = "start" if layer.start is None else "end"
        raise ConfigError(f'{values[at].place} needs "{missing}": start and end come together')
    if layer.start is not None and layer.end is not None and layer.end <= layer.start:
        raise unexpected(values[*at, "end"], f"a day after start, which is {layer.start}")
    if layer.max_cloud is not None:
        try:
            cloud_property(collection)
        except InvalidRequest as exc:
            raise ConfigError(f"{values[*at, 'max_cloud'].place}: {exc}") from exc


def computed_image(layer: LayerSettings) -> Computed:
    """Return what is to be computed for a layer of an expression or a collection.

    Raises:
        InvalidRequest: the expression's file is missing or holds something else.
    """
    if layer.expression:
        try:
            expression = read_expression(_content(Path(layer.expression)))
        except InvalidRequest as exc:
            raise InvalidRequest(f"expression: {layer.expression}: {exc}") from exc
    else:
        expression = Composite(
            collection=layer.collection or "",
            start=layer.start,
            end=layer.end,
            bounds=layer.bounds,
            reducer=layer.reduce,
            max_cloud=layer.max_cloud,
        ).expression()
    zoom = FULL_ZOOM if layer.maxzoom is None else layer.maxzoom
    return Computed(to_text(expression), layer.bounds, zoom)


def _content(path: Path) -> bytes:
    """Return the bytes of a file, of a long one no more than shows that it is too long."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise InvalidRequest(f"cannot be read: {exc.strerror}") from exc
