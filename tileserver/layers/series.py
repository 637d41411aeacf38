"""The values at a place over time, as JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from tileserver.contract.pixels import BandArrays, Moment


def series_json(
    lon: float, lat: float, bands: Sequence[str], moments: Sequence[Moment]
) -> dict[str, Any]:
    """Return the JSON of `/timeseries`; null where a band is masked or not finite.

    Args:
        lon: degrees.
        lat: degrees.
        bands: their ids.
        moments: pixels at the place, by time.
    """
    return {
        "lon": lon,
        "lat": lat,
        "bands": list(bands),
        "series": [
            {
                "time": each.time,
                "asset": each.name,
                "values": dict(zip(bands, _values(each.bands), strict=True)),
            }
            for each in moments
        ],
    }


def series_csv(bands: Sequence[str], moments: Sequence[Moment]) -> str:
    """Return the CSV of `/timeseries`: time, asset, and a column a band, empty if masked."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["time", "asset", *bands])
    for each in moments:
        writer.writerow([each.time or "", each.name, *_values(each.bands)])
    return text.getvalue()


def _values(bands: BandArrays) -> list[float | None]:
    pairs = zip(bands.values[:, 0, 0].tolist(), bands.valid[:, 0, 0].tolist(), strict=True)
    dtypes = bands.dtypes or (bands.values.dtype,) * len(bands.ids)
    return [
        _plain(value, dtype.kind) if valid and math.isfinite(value) else None
        for (value, valid), dtype in zip(pairs, dtypes, strict=True)
    ]


def _plain(value: float, kind: str) -> float:
    return int(value) if kind in "iu" else value
