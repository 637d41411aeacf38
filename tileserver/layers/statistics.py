"""Statistics of an asset's bands: extremes, moments, percentiles, histogram.

Computed from all pixels if they are few, else from the first pyramid level that is small enough:
at most `MAX_SAMPLES` values for each band, and at most the bytes that getPixels allows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import MAX_BYTES, BandArrays, PixelRequest
from tileserver.errors import InvalidRequest
from tileserver.layers.styles import parse_number

MAX_SAMPLES = 4_000_000
_MAX_STRETCH_SAMPLES = 300_000
_HISTOGRAM_BINS = 64
_MAX_BINS = 1024
_MAX_PERCENTILES = 20
_MOST_CLASSES = 64
"""Different values of which each is counted."""
_MOST_APART = 65_535
_NO_VALUES: dict[str, Any] = {
    **dict.fromkeys(
        ("min", "max", "mean", "std", "count", "valid_percent", "percentile_2", "percentile_98")
    ),
    "histogram": [[], []],
}


def overview_request(
    asset: ImageAsset, bands: Sequence[str], max_samples: int = _MAX_STRETCH_SAMPLES
) -> PixelRequest:
    """Return a request for the extent of an asset, with at most `max_samples` pixels."""
    return PixelRequest(
        asset_id=asset.name,
        file_format=ImageFileFormat.NPY,
        grid=thinned(asset.grid_of(bands), asset, bands, max_samples),
        band_ids=tuple(bands),
        asset_version=asset.version,
    )


def thinned(
    grid: PixelGrid, asset: ImageAsset, bands: Sequence[str], max_samples: int = MAX_SAMPLES
) -> PixelGrid:
    """Return a grid over the same place, its pixels enlarged until they are few enough."""
    fitting = MAX_BYTES // sum(band.dtype.itemsize + 1 for band in asset.select(bands))
    most = min(max_samples, asset.max_samples, fitting)
    factor = 1
    while (grid.width // factor) * (grid.height // factor) > most:
        factor *= 2
    if factor == 1:
        return grid
    # Rounded down: the pixels are not smaller than those of the level of that factor.
    width, height = max(grid.width // factor, 1), max(grid.height // factor, 1)
    return grid.coarsened(width, height)


def finite_values(bands: BandArrays, index: int) -> NDArray[Any]:
    """Return the valid and finite values of one band, shape (values,)."""
    values: NDArray[Any] = bands.values[index][bands.valid[index]]
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def percentiles(bands: BandArrays, low: float, high: float) -> list[tuple[float, float]]:
    """Return two percentiles of each band, the second always the larger."""
    return [_between(finite_values(bands, i), low, high) for i in range(len(bands.ids))]


def _between(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        # The difference of two extreme values may overflow.
        found = np.nan_to_num(np.percentile(values, (low, high)))
    first, last = (rounded(float(v)) for v in found)
    return (first, last) if first < last else (first, first + max(1.0, abs(first) * 1e-6))


def rounded(value: float) -> float:
    """Return a value rounded to six digits, short in a URL."""
    return float(f"{value:.6g}")


@dataclass(frozen=True, slots=True)
class Details:
    """What the statistics of a band have beside the usual."""

    bins: int = _HISTOGRAM_BINS
    """Of the histogram, equally wide from the least value to the largest."""
    percentiles: tuple[float, ...] = ()
    """From 0 to 100; those that `percentiles` of the JSON holds."""


def parse_details(parameters: Mapping[str, str]) -> Details:
    """Return the details in the parameters of a URL.

    Raises:
        InvalidRequest: one is malformed or out of range; names the parameter.
    """
    bins = _HISTOGRAM_BINS
    if "bins" in parameters:
        text = parameters["bins"]
        if not re.fullmatch(r"[1-9][0-9]{0,3}", text, re.ASCII) or int(text) > _MAX_BINS:
            expected = f"expected a whole number from 1 to {_MAX_BINS}"
            raise InvalidRequest(f"bins: {expected}, got {text[:40]!r}")
        bins = int(text)
    listed = parameters["percentiles"].split(",") if "percentiles" in parameters else []
    if len(listed) > _MAX_PERCENTILES:
        raise InvalidRequest(f"percentiles: {len(listed)} given, at most {_MAX_PERCENTILES} may be")
    return Details(bins, tuple(parse_number("percentiles", each, 0, 100) for each in listed))


_USUAL = Details()


def summarize(bands: BandArrays, details: Details = _USUAL) -> dict[str, Any]:
    """Return the JSON of `/statistics`: the statistics of each band."""
    return {
        band: _summary(finite_values(bands, i), bands, details) for i, band in enumerate(bands.ids)
    }


def _summary(values: NDArray[Any], bands: BandArrays, details: Details) -> dict[str, Any]:
    total = bands.values.shape[1] * bands.values.shape[2]
    if bands.covered_px is not None:
        total = max(bands.covered_px, 1)
    counted = {"count": values.size, "valid_percent": round(100 * values.size / total, 4)}
    return _NO_VALUES | counted | (_figures(values, details) if values.size else {})


def _figures(values: NDArray[Any], details: Details) -> dict[str, Any]:
    samples = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high, *others = np.percentile(samples, (2, 98, *details.percentiles))
        counts, edges = _histogram(samples, details.bins)
        mean, deviation = samples.mean(), samples.std()
    return {
        "mean": _finite(mean),
        "std": _finite(deviation),
        "min": values.min().item(),
        "max": values.max().item(),
        "percentile_2": _finite(low),
        "percentile_98": _finite(high),
        "histogram": [counts.tolist(), edges.tolist()],
        **_frequencies(values),
        **({"percentiles": dict(_named(details.percentiles, others))} if others else {}),
    }


def _named(
    percentages: Sequence[float], values: Sequence[float]
) -> Iterator[tuple[str, float | None]]:
    for percent, value in zip(percentages, values, strict=True):
        yield f"{percent:g}", _finite(value)


def _frequencies(values: NDArray[Any]) -> dict[str, Any]:
    """Return how often each value is there, of integers that are few, such as classes."""
    if values.dtype.kind not in "iu":
        return {}
    low, high = int(values.min()), int(values.max())
    if high - low > _MOST_APART or high >= 2**62:
        return {}
    counts = np.bincount(values.astype(np.int64) - low)
    found = np.flatnonzero(counts)
    if len(found) > _MOST_CLASSES:
        return {}
    return {"frequencies": [counts[found].tolist(), (found + low).tolist()]}


def _histogram(samples: NDArray[np.float64], bins: int) -> tuple[NDArray[Any], NDArray[Any]]:
    low, high = samples.min(), samples.max()
    # NumPy rejects an empty range, and one that overflows.
    if low == high or not math.isfinite(high - low):
        return np.array([samples.size]), np.array([low, high])
    try:
        return np.histogram(samples, bins, (low, high))
    except ValueError:
        return np.array([samples.size]), np.array([low, high])


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
