"""Images in other types of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.arrays.storage import applied
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import CASTS, PixelType
from tileserver.errors import InvalidRequest, shown

_CAST_NAMES = (
    "Byte", "Uint8", "Int8", "Uint16", "Int16", "Short", "Uint32", "Int32", "Int", "Int64", "Long",
    "Float", "Double",
)  # fmt: skip


def cast_band(band: Band, type_: PixelType) -> Band:
    """Return a band in another type: clamped to its ends, fractions cut off."""
    found = type_.with_dimensions(band.type.dimensions)

    def compute(pixels: Pixels) -> Pixels:
        if found.dimensions:
            return applied([pixels], lambda x: cast_values(x, type_.dtype), found)
        return Pixels(cast_values(pixels.values, type_.dtype), pixels.mask)

    return replace(band, type=found, node=Apply(compute, (band.node,)))


def cast_values(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers in another type: clamped to its ends, fractions cut off."""
    if dtype.kind == "f" or values.dtype == dtype:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    if values.dtype.kind == "f":
        whole = np.trunc(np.nan_to_num(values.astype(np.float64), nan=0.0))
        # The greatest int64 has no float64; the next one up would turn into the least.
        is_beyond = whole >= float(limits.max)
        inside = np.where(is_beyond, 0.0, np.maximum(whole, float(limits.min))).astype(dtype)
        return np.where(is_beyond, dtype.type(limits.max), inside)
    return np.clip(values.astype(np.int64), limits.min, limits.max).astype(dtype)


def _register_cast(name: str) -> None:
    type_ = CASTS[name.lower()]

    def apply(image: Image) -> Image:
        return map_bands(image, lambda band: cast_band(band, type_))

    description = f"Returns each band as {name.lower()}, clamped to its range."
    for spelling in (f"to{name}", name.lower()):
        algorithm(f"Image.{spelling}(value: Image) -> Image", description)(apply)


for _cast_name in _CAST_NAMES:
    _register_cast(_cast_name)


@algorithm("Image.cast(image: Image, bandTypes: Dictionary, bandOrder: List = null) -> Image")
def cast(image: Image, types: dict[str, Any], order: Sequence[str] | None) -> Image:
    """Return an image with some bands converted, each to its type; in an order if one is given."""
    wanted = {}
    for name, given in types.items():
        found = given if isinstance(given, PixelType) else CASTS.get(str(given).lower())
        if found is None:
            raise InvalidRequest(
                f"Unknown type of pixels {str(given)[:40]!r}; expected {', '.join(CASTS)}."
            )
        wanted[name] = found
    if unknown := sorted(set(wanted) - set(image.band_ids)):
        raise InvalidRequest(f"The image has no band '{unknown[0][:80]}'.")
    bands = {b.id: cast_band(b, wanted[b.id]) if b.id in wanted else b for b in image.bands}
    if order is None:
        return image.derived(bands.values())
    if sorted(map(str, order)) != sorted(bands):
        raise InvalidRequest(
            f"bandOrder must name each band once, {', '.join(bands)[:200]}; got {shown(order)}."
        )
    return image.derived(bands[name] for name in order)
