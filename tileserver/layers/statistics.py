"""Statistics of an asset's bands: extremes, moments, percentiles, histogram.

Computed from all pixels if they are few, else from the first pyramid level that is small enough:
at most `MAX_SAMPLES` values for each band, and at most the bytes that getPixels allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import MAX_BYTES, BandArrays, PixelRequest

MAX_SAMPLES = 4_000_000
_MAX_STRETCH_SAMPLES = 300_000
_HISTOGRAM_BINS = 64
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


def summarize(bands: BandArrays) -> dict[str, Any]:
    """Return the JSON of `/statistics`: the statistics of each band."""
    return {band: _summary(finite_values(bands, i), bands) for i, band in enumerate(bands.ids)}


def _summary(values: NDArray[Any], bands: BandArrays) -> dict[str, Any]:
    total = bands.values.shape[1] * bands.values.shape[2]
    if bands.covered_px is not None:
        total = max(bands.covered_px, 1)
    counted = {"count": values.size, "valid_percent": round(100 * values.size / total, 4)}
    return _NO_VALUES | counted | (_figures(values) if values.size else {})


def _figures(values: NDArray[Any]) -> dict[str, Any]:
    samples = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = np.percentile(samples, (2, 98))
        counts, edges = _histogram(samples)
        mean, deviation = samples.mean(), samples.std()
    return {
        "mean": _finite(mean),
        "std": _finite(deviation),
        "min": values.min().item(),
        "max": values.max().item(),
        "percentile_2": _finite(low),
        "percentile_98": _finite(high),
        "histogram": [counts.tolist(), edges.tolist()],
    }


def _histogram(samples: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    low, high = samples.min(), samples.max()
    # NumPy rejects an empty range, and one that overflows.
    if low == high or not math.isfinite(high - low):
        return np.array([samples.size]), np.array([low, high])
    try:
        return np.histogram(samples, _HISTOGRAM_BINS, (low, high))
    except ValueError:
        return np.array([samples.size]), np.array([low, high])


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
