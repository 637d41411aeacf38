"""What tells masked from zero at Earth Engine: a band's mask asked beside it.

getPixels answers zero for both, and getPixels is all that is needed for tiles. A question about
values is an expression instead, still one request: the bands, and Image.mask of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.assets import ImageAsset
from tileserver.blocks import read_npy
from tileserver.pixels import BandArrays, ImageFileFormat, PixelGrid, PixelRequest

_MASK = "__mask"


def masked_request(
    request: PixelRequest, asset: ImageAsset, grid: PixelGrid, bands: Sequence[str]
) -> PixelRequest:
    """Return the request for bands and their masks on a grid, as NPY."""
    return replace(
        request,
        file_format=ImageFileFormat.NPY,
        grid=grid,
        region=None,
        band_ids=(),
        visualization_options=None,
        expression=json.dumps(_with_masks(asset.name, bands), separators=(",", ":")),
    )


def _with_masks(asset_name: str, bands: Sequence[str]) -> dict[str, Any]:
    """Return an expression as `ee.Image.serialize` would write it."""

    def call(name: str, **arguments: Any) -> dict[str, Any]:
        return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}

    def constant(value: Any) -> dict[str, Any]:
        return {"constantValue": value}

    def result(of: str) -> dict[str, Any]:
        return {"valueReference": of}

    masks = call("Image.mask", image=result("bands"))
    names = constant([band + _MASK for band in bands])
    values = {
        "image": call("Image.load", id=constant(_asset_id(asset_name))),
        "bands": call("Image.select", input=result("image"), bandSelectors=constant(list(bands))),
        "masks": call("Image.rename", input=masks, names=names),
        "0": call("Image.addBands", dstImg=result("bands"), srcImg=result("masks")),
    }
    return {"result": "0", "values": values}


def _asset_id(name: str) -> str:
    """Return the id that Image.load takes for an asset's name."""
    for home in ("public", "legacy"):
        name = name.removeprefix(f"projects/earthengine-{home}/assets/")
    return name


def masked_bands(body: bytes, grid: PixelGrid, bands: Sequence[str]) -> BandArrays:
    """Return what a masked request was answered; a mask above zero is valid.

    Raises:
        UpstreamError: it is something else.
    """
    records = read_npy(body, grid)
    return BandArrays(
        tuple(bands),
        np.stack([records[band] for band in bands]),
        np.stack([records[band + _MASK] > 0 for band in bands]),
    )
