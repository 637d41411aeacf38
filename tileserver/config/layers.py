"""The settings of a layer: which image, and how it is drawn."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tileserver.config import kinds
from tileserver.contract.grids import Box
from tileserver.errors import InvalidRequest
from tileserver.expressions.document import (
    FULL_ZOOM,
    MAX_BYTES,
    Composite,
    Computed,
    cloud_property,
    read_expression,
    to_text,
)

_IMAGES = {
    "asset": (),
    "expression": ("bounds",),
    "collection": ("start", "end", "bounds", "reduce", "max_cloud"),
}
"""The kinds of images, and the keys that go with each."""
TABLE_STYLE = ("color", "fill_color", "width", "point_size", "point_shape")
"""The keys that go with the asset of a table."""


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """[layers.NAME]: an image and how it is drawn."""

    name: str
    """Letters, digits, ".", "_" and "-", at most 64; begins with a letter or a digit."""
    asset: Annotated[
        str | None,
        kinds.ASSET,
        "name of the asset to draw; a layer has this, an expression or a collection",
    ] = None
    title: Annotated[str | None, kinds.TEXT, "what people read; else the name"] = None
    description: Annotated[str | None, kinds.TEXT, "a sentence or more about the layer"] = None
    attribution: Annotated[str | None, kinds.TEXT, "credit shown on the map"] = None
    bands: Annotated[
        tuple[str, ...], kinds.TEXTS, "bands to draw: one, or red, green and blue"
    ] = ()
    min: Annotated[
        tuple[float, ...],
        kinds.NUMBERS,
        "value drawn darkest, one or one per band; else from statistics",
    ] = ()
    max: Annotated[
        tuple[float, ...],
        kinds.NUMBERS,
        "value drawn brightest, one or one per band; else from statistics",
    ] = ()
    palette: Annotated[tuple[str, ...], kinds.PALETTE, "colours from min to max, for one band"] = ()
    gamma: Annotated[float | None, kinds.POSITIVE, "exponent is 1/gamma: above 1 brightens"] = None
    opacity: Annotated[float | None, kinds.OPACITY, "0 is transparent, 1 is opaque"] = None
    resampling: Annotated[
        str | None, kinds.RESAMPLING, "how pixels are made of the raster's; else nearest"
    ] = None
    nodata: Annotated[
        float | None, kinds.NUMBER, "value that is masked, beside the file's own nodata value"
    ] = None
    unscale: Annotated[
        bool | None, kinds.FLAG, "whether values become value * scale + offset, as the file says"
    ] = None
    formula: Annotated[
        str | None,
        kinds.TEXT,
        'what is drawn in place of bands, such as "(B8 - B4) / (B8 + B4)"; '
        "the parameter `expression` of URLs",
    ] = None
    algorithm: Annotated[
        str | None,
        kinds.ALGORITHM,
        "what is made of the elevations of a band: hillshade, slope, aspect, contours, or colours "
        "that hold them, terrarium or mapbox",
    ] = None
    azimuth: Annotated[
        float | None, kinds.NUMBER, "of a hillshade's light, clockwise from the north; else 315"
    ] = None
    altitude: Annotated[
        float | None, kinds.NUMBER, "of a hillshade's light, degrees above the horizon; else 45"
    ] = None
    z_factor: Annotated[
        float | None, kinds.POSITIVE, "elevations are multiplied by it, for hillshade and slope"
    ] = None
    interval: Annotated[float | None, kinds.POSITIVE, "metres between contours; else 100"] = None
    like: Annotated[
        str | None,
        kinds.TEXT,
        '"lon,lat" of the pixel that others are compared with, by all their bands',
    ] = None
    threshold: Annotated[
        float | None, kinds.NUMBER, "least similarity that is drawn with `like`, from -1 to 1"
    ] = None
    stretch: Annotated[
        str | None,
        kinds.TEXT,
        "how the range is measured where there is no min and max, and its curve: minmax, "
        "percentile:2,98, stddev:2, sqrt, log, equalize",
    ] = None
    colormap: Annotated[
        str | None,
        kinds.COLORMAP,
        'colours of values, such as {"1" = "#ff0000"}, or of intervals, such as '
        '[[0, 10, "#ff0000"]]; other values do not show',
    ] = None
    relief: Annotated[
        bool | None,
        kinds.FLAG,
        "whether the colours of one band of elevations are shaded by the light on them; else those "
        "without a style are",
    ] = None
    color: Annotated[
        str | None,
        kinds.TEXT,
        "of outlines and lines of a table, such as #2f6f9f, with opacity #2f6f9f80; names as in "
        "ee.FeatureCollection.style",
    ] = None
    fill_color: Annotated[
        str | None, kinds.TEXT, "of areas and points of a table; else the colour, translucent"
    ] = None
    width: Annotated[
        float | None, kinds.LINE_WIDTH, "of a table's outlines and lines, in pixels; else 1.5"
    ] = None
    point_size: Annotated[
        int | None, kinds.POINT_SIZE, "radius of a table's points, in pixels; else 4"
    ] = None
    point_shape: Annotated[
        str | None, kinds.TEXT, "of a table's points: circle, square, diamond, cross, star5 …"
    ] = None
    minzoom: Annotated[int | None, kinds.ZOOM, "lowest zoom offered; else from the asset"] = None
    maxzoom: Annotated[int | None, kinds.ZOOM, "highest zoom offered; else from the asset"] = None
    visible: Annotated[bool, kinds.FLAG, "whether the page shows it from the start"] = True
    class_names: Annotated[
        tuple[str, ...], kinds.TEXTS, "names of the classes in the legend, one per colour"
    ] = ()
    tiles_per_side: Annotated[
        int | None,
        kinds.SIDE,
        "tiles on one side of the blocks in which Earth Engine is asked; else 4",
    ] = None
    expression: Annotated[
        str | None,
        kinds.FILE_PATH,
        "file with what ee.Image.serialize() writes, for Earth Engine to compute; "
        "in a file, relative to the folder of that file",
    ] = None
    collection: Annotated[
        str | None, kinds.ASSET, "name of the collection whose images make up the one to draw"
    ] = None
    start: Annotated[str | None, kinds.DAY, "first day of a collection's images"] = None
    end: Annotated[str | None, kinds.DAY, "the day after the last of a collection's images"] = None
    bounds: Annotated[
        Box | None,
        kinds.BOUNDS,
        "the only place drawn of a collection or an expression; else all there is",
    ] = None
    reduce: Annotated[
        str, kinds.REDUCER, "what makes one image of a collection's, at each pixel"
    ] = "mosaic"
    max_cloud: Annotated[
        float | None,
        kinds.PERCENT,
        "images of a Sentinel-2 or Landsat collection with fewer clouds only",
    ] = None


class Contradiction(Exception):
    """Settings of one layer that do not go together."""

    def __init__(self, message: str, key: str | None = None, *, shows: bool = False) -> None:
        super().__init__(message)
        self.key = key
        """The setting to change; None for the layer as a whole."""
        self.shows = shows
        """Whether the message is about the value of that setting."""


def check_layer(layer: LayerSettings, given: Set[str]) -> None:
    """Refuse settings that contradict each other; `given` are the keys that were set.

    Raises:
        Contradiction: with the key of the setting to change.
    """
    _check_image(layer, given)
    for key, found in (("min", layer.min), ("max", layer.max)):
        if layer.bands and len(found) not in {0, 1, len(layer.bands)}:
            expected = f"expected one number, or one for each of {len(layer.bands)} bands"
            raise Contradiction(expected, key, shows=True)
    if layer.min and layer.max:
        _check_range(layer.min, layer.max)
    if layer.minzoom is not None and layer.maxzoom is not None and layer.minzoom > layer.maxzoom:
        expected = f"expected at least minzoom, which is {layer.minzoom}"
        raise Contradiction(expected, "maxzoom", shows=True)


def _check_range(lows: tuple[float, ...], highs: tuple[float, ...]) -> None:
    count = max(len(lows), len(highs))
    if not {len(lows), len(highs)} <= {1, count}:
        expected = f"expected one number, or as many as min has, which is {len(lows)}"
        raise Contradiction(expected, "max", shows=True)
    pairs = (each * count if len(each) == 1 else each for each in (lows, highs))
    for low, high in zip(*pairs, strict=True):
        if low >= high:
            raise Contradiction(f"expected more than min, which is {low:g}", "max", shows=True)


def _check_image(layer: LayerSettings, given: Set[str]) -> None:
    """Refuse a layer of no image or of several, and what does not go with its kind."""
    images = [kind for kind in _IMAGES if kind in given]
    if len(images) != 1:
        came = " and ".join(images) or "none"
        raise Contradiction(f"needs one of asset, expression and collection, got {came}")
    for key in _IMAGES["collection"]:
        if key in given and key not in _IMAGES[images[0]]:
            fitting = " or ".join(kind for kind, keys in _IMAGES.items() if key in keys)
            raise Contradiction(f"goes with {fitting}, not with {images[0]}", key)
    for key in TABLE_STYLE:
        if key in given and images[0] != "asset":
            raise Contradiction(f"goes with asset, that of a table, not with {images[0]}", key)
    if (layer.start is None) != (layer.end is None):
        missing = "start" if layer.start is None else "end"
        raise Contradiction(f'needs "{missing}": start and end come together')
    if layer.start is not None and layer.end is not None and layer.end <= layer.start:
        raise Contradiction(
            f"expected a day after start, which is {layer.start}", "end", shows=True
        )
    if layer.max_cloud is not None:
        try:
            cloud_property(layer.collection or "")
        except InvalidRequest as exc:
            raise Contradiction(str(exc), "max_cloud") from exc


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
