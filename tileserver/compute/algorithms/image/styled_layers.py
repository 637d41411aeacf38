"""`Image.sldStyle`: images drawn by a styled layer descriptor (OGC SLD 1.0, SE 1.1).

Source: the reference page, which names what of the standards is supported, and GeoServer's manual
for the kinds of colour maps. Decided where these are silent:

- A ramp ends with its first and last colour. Of intervals each entry colours the values below
  its quantity, from the one before on; values from the last quantity on are transparent, as in
  GeoServer. With values only equal ones are drawn. Categorize and Interpolate are SE's.
- Without an enhancement values are bytes: clipped to 0..255.
- Normalize stretches from the least value to the greatest, Histogram equalizes 256 bins. They are
  those of the image's whole extent, read with 256 pixels a side at most, so that tiles agree;
  an image without an extent has none, and is refused.
- The bands are vis-red, vis-green and vis-blue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.context import Context
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.pixels.plan import compute
from tileserver.compute.registry import algorithm
from tileserver.compute.text.styled_layer import (
    Channel,
    ColorMap,
    Enhancement,
    RasterStyle,
    parse_style,
)
from tileserver.compute.values.image import Band, Image, band_grid
from tileserver.compute.values.pixel_type import BYTE
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown
from tileserver.rendering.render import VISUALIZED_IDS

_SIDE_PX = 256
_BINS = 256

Stretch = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Returns values as 0..255."""


@dataclass(frozen=True, slots=True)
class _Histogram:
    """Counts of a band's values in equal bins."""

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    def to_json(self) -> list[list[float]]:
        """Return the lower end of each bin and its count."""
        return [
            [float(edge), int(count)]
            for edge, count in zip(self.edges[:-1], self.counts, strict=True)
        ]


@algorithm("Image.sldStyle(input: Image, sldXml: String) -> Image")
def sld_style(context: Context, image: Image, document: str) -> Image:
    """Return an image drawn by an OGC styled layer descriptor: vis-red, vis-green and vis-blue."""
    style = parse_style(document)
    if not image.bands:
        raise InvalidRequest("An image without bands cannot be styled.")
    if style.color_map is not None:
        channels = style.channels[:1] or (Channel(None, Enhancement()),)
    else:
        channels = style.channels or _default_channels(image, style)
    bands = [_source(image, each) for each in channels]
    properties = dict(image.properties)
    stretches = []
    for band, channel in zip(bands, channels, strict=True):
        own = channel.enhancement
        enhancement = style.enhancement if own == Enhancement() else own
        histogram = _histogram(context, band) if enhancement.method else None
        if histogram is not None:
            properties[f"histogram_{band.id}"] = histogram.to_json()
        stretches.append(None if enhancement == Enhancement() else _stretch(enhancement, histogram))
    return replace(image.derived(_drawn(bands, stretches, style)), properties=properties)


def _default_channels(image: Image, style: RasterStyle) -> tuple[Channel, ...]:
    """Return the first three bands as red, green and blue, or the only one as grey."""
    bands = image.bands[:3] if len(image.bands) >= 3 else image.bands[:1]
    return tuple(Channel(band.id, style.enhancement) for band in bands)


def _source(image: Image, channel: Channel) -> Band:
    """Return the band of a name, else of a number that counts from one."""
    name = channel.source
    if name is None:
        return image.bands[0]
    for band in image.bands:
        if band.id == name:
            return band
    if name.isascii() and name.isdigit() and 1 <= int(name[:6]) <= len(image.bands):
        return image.bands[int(name) - 1]
    raise InvalidRequest(
        f"SourceChannelName {shown(name)} is no band of the image and no number from 1 to "
        f"{len(image.bands)}."
    )


def _histogram(context: Context, band: Band) -> _Histogram:
    """Return the histogram of a band's extent, read with few pixels."""
    grid = band_grid(band)
    if grid is None:
        raise InvalidRequest(
            "Normalize and Histogram need an image with an extent; clip it, or give a ColorMap."
        )
    coarse = _coarse(grid)
    (values,), (mask,) = compute(
        [band.node], [band.type.dtype], coarse, context.world.read, context.budget
    )
    known = values[mask > 0].astype(np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        known = np.zeros(1)
    counts, edges = np.histogram(known, _BINS)
    return _Histogram(counts, edges)


def _coarse(grid: PixelGrid) -> PixelGrid:
    factor = -(-max(grid.width, grid.height) // _SIDE_PX)
    if factor == 1:
        return grid
    width, height = -(-grid.width // factor), -(-grid.height // factor)
    return PixelGrid(width, height, grid.transform.scaled(factor, factor), grid.crs_code)


def _stretch(enhancement: Enhancement, histogram: _Histogram | None) -> Stretch:
    gamma = enhancement.gamma

    def share(values: NDArray[Any]) -> NDArray[np.float64]:
        if histogram is None:
            return _as_bytes(values) / 255
        if enhancement.method == "Normalize":
            low, high = histogram.edges[0], histogram.edges[-1]
            shares: NDArray[np.float64] = np.clip((values - low) / (high - low), 0, 1)
            return shares
        reached = np.concatenate([[0], np.cumsum(histogram.counts)]) / histogram.counts.sum()
        found: NDArray[np.float64] = np.interp(values, histogram.edges, reached)
        return found

    return lambda values: 255 * np.nan_to_num(share(values), nan=0.0) ** (1 / gamma)


def _drawn(
    bands: Sequence[Band], stretches: Sequence[Stretch | None], style: RasterStyle
) -> list[Band]:
    """Return the three bands of the picture."""
    nodes = tuple(band.node for band in bands)

    def channel(place: int, *pixels: Pixels) -> Pixels:
        mask = np.minimum.reduce([each.mask for each in pixels])
        if not style.is_opaque:
            mask = np.zeros_like(mask)
        at = place if len(pixels) > 1 else 0
        stretch, values = stretches[at], pixels[at].values
        if style.color_map is None:
            return Pixels(np.rint((stretch or _as_bytes)(values)).astype(np.uint8), mask)
        drawn, is_drawn = _colored(stretch(values) if stretch else values, style.color_map, place)
        return Pixels(drawn, mask * is_drawn)

    def node(place: int) -> Apply:
        return Apply(lambda *pixels: channel(place, *pixels), nodes)

    return [
        replace(bands[0], id=name, type=BYTE, node=node(place))
        for place, name in enumerate(VISUALIZED_IDS)
    ]


def _as_bytes(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.clip(np.nan_to_num(values.astype(np.float64), nan=0.0), 0, 255)


def _colored(
    values: NDArray[Any], colors: ColorMap, place: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return one channel of the colours of values, and where there is an opaque colour."""
    channel = np.array([each[place] for each in colors.colors], dtype=np.float64)
    opaque = np.array(colors.are_opaque)
    quantities = np.array(colors.quantities)
    numbers = np.nan_to_num(values.astype(np.float64), nan=np.inf)
    if colors.kind == "ramp":
        found = np.interp(numbers, quantities, channel)
        nearest = np.clip(np.searchsorted(quantities, numbers, "right") - 1, 0, len(opaque) - 1)
        return np.rint(found).astype(np.uint8), opaque[nearest]
    if colors.kind == "intervals":
        at = np.searchsorted(quantities, numbers, "right")
        is_drawn = at < len(channel)
    else:
        order = np.argsort(quantities, kind="stable")
        at = np.clip(np.searchsorted(quantities[order], numbers), 0, len(channel) - 1)
        at = order[at]
        is_drawn = quantities[at] == numbers
    at = np.minimum(at, len(channel) - 1)
    return channel[at].astype(np.uint8), is_drawn & opaque[at]
