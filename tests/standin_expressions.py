"""The few expressions that the stand-in computes: an image, its bands, its masks."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.assets import check_asset_name
from tileserver.encoders import encode
from tileserver.errors import InvalidRequest
from tileserver.grids import complete
from tileserver.pixels import (
    BandArrays,
    ImageFileFormat,
    PixelGrid,
    PixelRequest,
    check_limits,
)
from tileserver.rasters import LocalRasters

_CASTS = {
    "Image.toByte": "uint8",
    "Image.toUint8": "uint8",
    "Image.toInt16": "int16",
    "Image.toUint16": "uint16",
    "Image.toInt": "int32",
    "Image.toInt32": "int32",
    "Image.toFloat": "float32",
    "Image.toDouble": "float64",
}


@dataclass(frozen=True)
class Pixels:
    """An encoded answer, and how many pixels it holds."""

    body: bytes
    area: int


@dataclass(frozen=True)
class Expression:
    """An expression as `ee.Image.serialize()` writes it."""

    values: Mapping[str, Any]
    result: str

    @classmethod
    def of(cls, document: object) -> Expression:
        """Read an expression.

        Raises:
            InvalidRequest: it is none.
        """
        if (
            not isinstance(document, dict)
            or set(document) != {"result", "values"}
            or document["result"] not in document["values"]
        ):
            raise InvalidRequest("Invalid value at 'expression': expected result and values.")
        return cls(document["values"], document["result"])

    @property
    def asset_id(self) -> str:
        """The first image that is loaded; it stands for the expression's native grid."""
        found = _first_loaded(self.values)
        if found is None:
            raise InvalidRequest("Image.load: the expression loads no image.")
        return str(self.resolve(found))

    def resolve(self, node: Any) -> Any:
        """Return a constant node's value."""
        if "valueReference" in node:
            return self.resolve(self.values[node["valueReference"]])
        if "constantValue" in node:
            return node["constantValue"]
        if "integerValue" in node:
            return int(node["integerValue"])
        if "arrayValue" in node:
            return [self.resolve(each) for each in node["arrayValue"].get("values", [])]
        raise InvalidRequest(f"Invalid value at 'expression': {str(node)[:80]}.")


@dataclass(frozen=True)
class _Band:
    id: str
    values: NDArray[Any]
    valid: NDArray[np.bool_]


def expression_pixels(
    rasters: LocalRasters, expression: Expression, request: PixelRequest
) -> Pixels:
    """Return an expression's pixels in the form a request asks for; blocks.

    Raises:
        TileserverError: as the local engine; or the expression is none of the few.
    """
    asset = rasters.catalogue.find(request.asset_id)
    grid = complete(replace(request, band_ids=()), asset)
    root = expression.values[expression.result]
    # Asked in full before it is cut down to bands, so the limits are looked at first.
    check_limits(grid.width, grid.height, ())
    bands = _Evaluation(rasters, expression, grid).image(root)
    if request.band_ids:
        bands = _selected(bands, request.band_ids)
    check_limits(grid.width, grid.height, [band.values.dtype.itemsize for band in bands])
    return Pixels(_encoded(bands, grid, request), grid.width * grid.height)


class _Evaluation:
    def __init__(self, rasters: LocalRasters, expression: Expression, grid: PixelGrid) -> None:
        self.rasters = rasters
        self.expression = expression
        self.grid = grid

    def image(self, node: Any) -> list[_Band]:
        if "valueReference" in node:
            return self.image(self.expression.values[node["valueReference"]])
        call = node.get("functionInvocationValue")
        if call is None:
            raise InvalidRequest(f"Invalid value at 'expression': {str(node)[:80]}.")
        name, arguments = call["functionName"], call.get("arguments", {})
        match name:
            case "Image.load":
                return self._load(str(self.expression.resolve(arguments["id"])))
            case "Image.select":
                return self._select(arguments)
            case "Image.rename":
                names = self.expression.resolve(arguments["names"])
                return _renamed(self.image(arguments["input"]), names)
            case "Image.addBands":
                first, second = (self.image(arguments[side]) for side in ("dstImg", "srcImg"))
                return _joined(first, second)
            case "Image.mask":
                return [_mask_of(band) for band in self.image(arguments["image"])]
            case "Image.unmask":
                return self._unmask(arguments)
            case _ if name in _CASTS:
                bands = self.image(arguments.get("value") or arguments["image"])
                return [replace(band, values=band.values.astype(_CASTS[name])) for band in bands]
        raise InvalidRequest(f"Unrecognized function '{name}'.")

    def _load(self, asset_id: str) -> list[_Band]:
        request = PixelRequest(check_asset_name(asset_id), ImageFileFormat.NPY, self.grid)
        arrays = self.rasters.bands(request)
        values = arrays.masked_to_zero()
        each = zip(arrays.ids, values, arrays.valid, strict=True)
        return [_Band(*members) for members in each]

    def _select(self, arguments: Mapping[str, Any]) -> list[_Band]:
        chosen = self.expression.resolve(arguments["bandSelectors"])
        bands = _selected(self.image(arguments["input"]), chosen)
        if "newNames" not in arguments:
            return bands
        return _renamed(bands, self.expression.resolve(arguments["newNames"]))

    def _unmask(self, arguments: Mapping[str, Any]) -> list[_Band]:
        fill = self.expression.resolve(arguments["value"]) if "value" in arguments else 0
        bands = self.image(arguments["input"])
        return [
            _Band(band.id, np.where(band.valid, band.values, fill), np.ones_like(band.valid))
            for band in bands
        ]


def _first_loaded(node: Any) -> Any:
    if isinstance(node, dict):
        if node.get("functionName") == "Image.load":
            return node["arguments"]["id"]
        node = list(node.values())
    if isinstance(node, list):
        found = (_first_loaded(each) for each in node)
        return next((each for each in found if each is not None), None)
    return None


def _selected(bands: Sequence[_Band], chosen: Sequence[str | int]) -> list[_Band]:
    by_id = {band.id: band for band in bands}
    for each in chosen:
        if isinstance(each, str) and each not in by_id:
            raise InvalidRequest(f"Image.select: Pattern '{each}' did not match any bands.")
    return [bands[each] if isinstance(each, int) else by_id[each] for each in chosen]


def _renamed(bands: Sequence[_Band], names: Sequence[str]) -> list[_Band]:
    if len(names) != len(bands):
        raise InvalidRequest(
            f"Image.rename: The number of names ({len(names)}) must match the number of bands "
            f"({len(bands)})."
        )
    return [replace(band, id=name) for band, name in zip(bands, names, strict=True)]


def _joined(first: Sequence[_Band], second: Sequence[_Band]) -> list[_Band]:
    """Add bands as Earth Engine does: of two the same, the later one gets a number."""
    bands, taken = list(first), {band.id for band in first}
    for band in second:
        name, number = band.id, 0
        while name in taken:
            number += 1
            name = f"{band.id}_{number}"
        taken.add(name)
        bands.append(replace(band, id=name))
    return bands


def _mask_of(band: _Band) -> _Band:
    return _Band(band.id, band.valid.astype(np.float32), np.ones_like(band.valid))


def _encoded(bands: Sequence[_Band], grid: PixelGrid, request: PixelRequest) -> bytes:
    dtypes = {band.values.dtype for band in bands}
    if request.file_format is ImageFileFormat.NPY and len(dtypes) > 1:
        return _mixed_npy(bands, grid)
    common = np.result_type(*dtypes)
    arrays = BandArrays(
        tuple(band.id for band in bands),
        np.stack([band.values.astype(common) for band in bands]),
        np.stack([band.valid for band in bands]),
    )
    return encode(request.file_format, arrays, grid, request.visualization_options)


def _mixed_npy(bands: Sequence[_Band], grid: PixelGrid) -> bytes:
    """Return an NPY of bands that are not all of one type."""
    dtype = np.dtype([(band.id, band.values.dtype.newbyteorder("<")) for band in bands])
    records = np.zeros((grid.height, grid.width), dtype)
    for band in bands:
        records[band.id] = np.where(band.valid, band.values, 0)
    body = io.BytesIO()
    np.lib.format.write_array(body, records, version=(1, 0), allow_pickle=False)
    return body.getvalue()
