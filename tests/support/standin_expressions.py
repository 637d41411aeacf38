"""The few expressions that the stand-in computes: an image, its bands, its masks, composites."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.standin_collections import REDUCERS, image_names
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.names import check_asset_name
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.errors import InvalidRequest
from tileserver.geo.completion import complete
from tileserver.rasters.catalogue import Raster
from tileserver.rasters.engine import LocalRasters
from tileserver.rendering.encoders import encode

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
    def root(self) -> Any:
        """The node of the result."""
        return self.values[self.result]

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
    asset = rasters.catalogue.find(request.asset_id).asset
    grid = complete(replace(request, band_ids=()), asset)
    # Asked in full before it is cut down to bands, so the limits are looked at first.
    check_limits(grid.width, grid.height, ())
    bands = _Evaluation(rasters, expression, grid).image(expression.root)
    if request.band_ids:
        bands = _selected(bands, request.band_ids)
    check_limits(grid.width, grid.height, [band.values.dtype.itemsize for band in bands])
    return Pixels(_encoded(bands, grid, request), grid.width * grid.height)


def first_asset_name(rasters: LocalRasters, expression: Expression) -> str:
    """Return the first image that is loaded; its grid stands for the expression's own.

    Raises:
        InvalidRequest: none is.
    """
    image = _first_call(expression.values, "Image.load")
    if image is not None:
        return check_asset_name(str(expression.resolve(image["arguments"]["id"])))
    collection = _first_call(expression.values, "ImageCollection.load")
    if collection is not None:
        node = {"functionInvocationValue": collection}
        return image_names(rasters.catalogue, expression, node)[0]
    raise InvalidRequest("Image.load: the expression loads no image.")


def describe(rasters: LocalRasters, expression: Expression) -> Any:
    """Return what getInfo tells of an image; blocks.

    Raises:
        TileserverError: as `expression_pixels`.
    """
    function = expression.root.get("functionInvocationValue", {}).get("functionName")
    if function in ("ImageCollection.load", "Collection.filter"):
        return {"type": "ImageCollection", "bands": [], "features": []}
    asset = rasters.catalogue.find(first_asset_name(rasters, expression))
    evaluation = _Evaluation(rasters, expression, replace(asset.grid, width=1, height=1))
    bands = evaluation.image(expression.root)
    place = _described_place(evaluation.native(expression.root))
    return {
        "type": "Image",
        "bands": [
            {"id": band.id, "data_type": _described_type(band.values.dtype), **place}
            for band in bands
        ],
    }


def _described_type(dtype: np.dtype[Any]) -> dict[str, Any]:
    if dtype.kind == "f":
        return {"type": "PixelType", "precision": "double" if dtype.itemsize == 8 else "float"}
    limits = np.iinfo(dtype)
    ends = {"min": int(limits.min), "max": int(limits.max)}
    return {"type": "PixelType", "precision": "int", **ends}


def _described_place(asset: Raster | None) -> dict[str, Any]:
    if asset is None:
        return {"crs": "EPSG:4326", "crs_transform": [1, 0, 0, 0, 1, 0]}
    grid, t = asset.grid, asset.grid.transform
    six = [t.scale_x, t.shear_x, t.translate_x, t.shear_y, t.scale_y, t.translate_y]
    dimensions = [grid.width, grid.height]
    return {"dimensions": dimensions, "crs": grid.crs_code, "crs_transform": six}


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
            case "Image.normalizedDifference":
                return [self._normalized_difference(arguments)]
            case "Collection.first":
                return self._load(self._images(arguments)[0])
            case _ if name in REDUCERS:
                return self._reduced(name, arguments)
            case _ if name in _CASTS:
                bands = self.image(arguments.get("value") or arguments["image"])
                return [replace(band, values=band.values.astype(_CASTS[name])) for band in bands]
        raise InvalidRequest(f"Unrecognized function '{name}'.")

    def native(self, node: Any) -> Raster | None:
        """Return the image whose grid an image has, or None: composites have none."""
        if "valueReference" in node:
            return self.native(self.expression.values[node["valueReference"]])
        call = node.get("functionInvocationValue", {})
        name, arguments = call.get("functionName"), call.get("arguments", {})
        if name == "Image.load":
            asset_id = str(self.expression.resolve(arguments["id"]))
            return self.rasters.catalogue.find(check_asset_name(asset_id))
        if name == "Collection.first":
            return self.rasters.catalogue.find(self._images(arguments)[0])
        if name in REDUCERS:
            return None
        return next((self.native(each) for each in arguments.values() if _is_image(each)), None)

    def _images(self, arguments: Mapping[str, Any]) -> list[str]:
        return image_names(self.rasters.catalogue, self.expression, arguments["collection"])

    def _reduced(self, name: str, arguments: Mapping[str, Any]) -> list[_Band]:
        images = [self._load(each) for each in self._images(arguments)]
        reduced = []
        for bands in zip(*images, strict=True):
            values, valid = (np.stack([getattr(b, m) for b in bands]) for m in ("values", "valid"))
            found = REDUCERS[name](np.ma.masked_array(values, ~valid))
            filled = np.ma.getdata(np.ma.filled(found, 0))
            mask = np.broadcast_to(~np.ma.getmaskarray(found), filled.shape)
            reduced.append(_Band(bands[0].id, filled, mask))
        return reduced

    def _normalized_difference(self, arguments: Mapping[str, Any]) -> _Band:
        names = self.expression.resolve(arguments["bandNames"])
        first, second = _selected(self.image(arguments["input"]), names)
        a, b = (band.values.astype(np.float64) for band in (first, second))
        valid = first.valid & second.valid & (a + b != 0) & (a >= 0) & (b >= 0)
        values = np.divide(a - b, a + b, out=np.zeros_like(a), where=valid)
        return _Band("nd", values.astype(np.float32), valid)

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


def _first_call(node: Any, function: str) -> Any:
    if isinstance(node, dict):
        if node.get("functionName") == function:
            return node
        node = list(node.values())
    if isinstance(node, list):
        found = (_first_call(each, function) for each in node)
        return next((each for each in found if each is not None), None)
    return None


def _is_image(node: Any) -> bool:
    return "valueReference" in node or "functionInvocationValue" in node


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
