"""Values of a layer along a line: samples on great circles, and the requests that read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import MAX_COMPUTED_SAMPLES, ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84
from tileserver.geo.great_circles import along, angles, normals, places
from tileserver.geo.positions import located, nearest
from tileserver.layers.layers import Layer
from tileserver.layers.statistics import thinned
from tileserver.layers.styles import parse_number

MAX_POSITIONS = 200
"""Corners of a line."""
MAX_POINTS = 1000
"""Samples along a line."""
DEFAULT_POINTS = 256
_WINDOW_PX = 262_144
"""Pixels of a window around a piece of the line."""
_PIECES = 64
"""Windows that are read of a file."""
_COSTLY_PIECES = 8
"""Windows that are read where pixels cost compute or requests."""
_HALF_TURN_RAD = 3.14

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Line:
    """Places along a line, evenly spaced."""

    lons: Floats
    lats: Floats
    """Degrees."""
    distances_m: Floats
    """From the first."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A request for the pixels about a part of a line."""

    request: PixelRequest
    samples: Integers
    """The samples that lie on it."""
    columns: Integers
    rows: Integers
    """Of each, in the request's grid."""
    factor: int
    """The side of the request's pixels in native ones."""


def parse_line(text: str) -> list[tuple[float, float]]:
    """Return the positions of `lon,lat,lon,lat,…`, in degrees.

    Raises:
        InvalidRequest: it is something else, too long, or no line.
    """
    parts = text.split(",")
    if len(parts) < 4 or len(parts) % 2 or len(parts) > 2 * MAX_POSITIONS:
        raise InvalidRequest(
            f"line: expected lon,lat,lon,lat and so on in degrees, of 2 to {MAX_POSITIONS} "
            f"positions, got {len(parts)} values"
        )
    limits = (180.0, 90.0) * (len(parts) // 2)
    values = [
        parse_number("line", part, -most, most) for part, most in zip(parts, limits, strict=True)
    ]
    positions = list(zip(values[::2], values[1::2], strict=True))
    widths = angles(normals(*np.array(positions).T))
    if not widths.any():
        raise InvalidRequest("line: expected positions that differ")
    if (widths > _HALF_TURN_RAD).any():
        raise InvalidRequest(
            "line: two positions on opposite sides of the Earth, expected another between them"
        )
    return positions


def line_of(positions: Sequence[tuple[float, float]], count: int) -> Line:
    """Return `count` places on the great circles between positions in degrees."""
    vectors, distances_m = along(normals(*np.array(positions).T), count)
    lons, lats = places(vectors)
    # To the last digit as they came: it may decide between two pixels.
    (lons[0], lats[0]), (lons[-1], lats[-1]) = positions[0], positions[-1]
    return Line(lons, lats, distances_m)


def profile_pieces(layer: Layer, bands: Sequence[str], line: Line) -> list[Piece]:
    """Return requests for the native pixels under a line; blocks.

    Samples outside of the layer have none. Where the windows around many pieces of the line are
    still too large, coarser pixels are read.
    """
    bands = layer.read_bands(bands)
    steps = layer.processing.of_values if layer.processing else None
    asset = layer.asset
    if steps is not None and steps.makes:
        return list(_pieces(asset, asset.grid_of(bands), bands, steps, line))
    groups: dict[PixelGrid, list[str]] = {}
    for band in asset.select(bands):
        groups.setdefault(band.grid, []).append(band.id)
    if len(groups) == 1:
        groups = {asset.grid_of(bands): list(bands)}
    return [
        piece
        for native, ids in groups.items()
        for piece in _pieces(asset, native, ids, steps, line)
    ]


def _pieces(
    asset: ImageAsset,
    native: PixelGrid,
    bands: Sequence[str],
    steps: Processing | None,
    line: Line,
) -> Iterator[Piece]:
    columns, rows = (nearest(each) for each in located(native, WGS84, line.lons, line.lats))
    is_inside = (columns >= 0) & (columns < native.width) & (rows >= 0) & (rows < native.height)
    inside = np.flatnonzero(is_inside)
    if not inside.size:
        return
    most = _PIECES if asset.max_samples > MAX_COMPUTED_SAMPLES else _COSTLY_PIECES
    for samples in _split(inside, columns, rows, most):
        window = _window(columns[samples], rows[samples])
        read = thinned(native.window(window), asset, bands, _WINDOW_PX)
        yield Piece(
            PixelRequest(
                asset_id=asset.name,
                file_format=ImageFileFormat.NPY,
                grid=read,
                band_ids=tuple(bands),
                asset_version=asset.version,
                processing=steps,
            ),
            samples,
            (columns[samples] - window.column) * read.width // window.width,
            (rows[samples] - window.row) * read.height // window.height,
            max(window.width // read.width, 1),
        )


def _split(inside: Integers, columns: Integers, rows: Integers, most: int) -> list[Integers]:
    """Return the samples in as few parts as have small windows, at most `most`."""
    count = 1
    while True:
        parts = np.array_split(inside, min(count, inside.size))
        largest = max(_window(columns[each], rows[each]).pixels for each in parts)
        if largest <= _WINDOW_PX or count >= min(most, inside.size):
            return parts
        count *= 2


def _window(columns: Integers, rows: Integers) -> Window:
    left, top = int(columns.min()), int(rows.min())
    return Window(left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top)


class Profile:
    """The values of bands at the places of a line."""

    def __init__(self, line: Line, bands: Sequence[str]) -> None:
        self.line = line
        self.factor = 1
        """The side of the coarsest pixels that were read, in native ones."""
        self.values: dict[str, list[float | None]] = {
            band: [None] * len(line.lons) for band in bands
        }

    def add(self, piece: Piece, read: BandArrays) -> None:
        """Take over the values of a piece, null where they are masked or not finite."""
        self.factor = max(self.factor, piece.factor)
        for number, band in enumerate(read.ids):
            values = read.values[number, piece.rows, piece.columns]
            valid = read.valid[number, piece.rows, piece.columns] & np.isfinite(values)
            dtype = read.dtypes[number] if read.dtypes else values.dtype
            with np.errstate(invalid="ignore"):
                plain = (values.astype(dtype) if dtype.kind in "iu" else values).tolist()
            found = self.values[band]
            for sample, value, is_valid in zip(piece.samples, plain, valid, strict=True):
                found[sample] = value if is_valid else None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `/profile`."""
        line = self.line
        return {
            "length_m": round(float(line.distances_m[-1]), 3),
            "pixel_factor": self.factor,
            "distances_m": np.round(line.distances_m, 3).tolist(),
            "lons": np.round(line.lons, 9).tolist(),
            "lats": np.round(line.lats, 9).tolist(),
            "values": self.values,
        }

    def to_csv(self) -> str:
        """Return the CSV of `/profile`: a row a sample, empty where a band is masked."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(["distance_m", "lon", "lat", *self.values])
        document = self.to_json()
        columns = (document[name] for name in ("distances_m", "lons", "lats"))
        writer.writerows(zip(*columns, *self.values.values(), strict=True))
        return text.getvalue()
