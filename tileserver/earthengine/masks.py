"""Band values with their masks, in one request.

getPixels returns zero both for zeros and for masked pixels, which is enough for pictures. Queries
of values, and NPZ tiles, compute an expression instead: the bands, and Image.mask of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.names import image_id
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.earthengine.answers import decoded
from tileserver.errors import UpstreamError
from tileserver.expressions.document import (
    Expression,
    call,
    constant,
    extended,
    loaded,
    reference,
    to_text,
)
from tileserver.rendering.npy import read_npy
from tileserver.rendering.npz import write_npz

_MASK = "__mask"
MASK_BYTES = 4
"""Of the mask of a pixel and band, as Earth Engine sends it."""


def masked_request(request: PixelRequest, grid: PixelGrid, bands: Sequence[str]) -> PixelRequest:
    """Return the request for bands and their masks on a grid, as NPY.

    The image is the one a request's expression computes, or else the stored asset.
    """
    given = request.expression
    image = loaded(image_id(request.asset_id)) if given is None else json.loads(given)
    return replace(
        request,
        file_format=ImageFileFormat.NPY,
        grid=grid,
        region=None,
        band_ids=(),
        visualization_options=None,
        expression=to_text(_with_masks(image, bands)),
    )


def _with_masks(image: Expression, bands: Sequence[str]) -> dict[str, Any]:
    """Return the expression of an image's bands and, beside them, their masks."""
    names = constant([band + _MASK for band in bands])
    chosen = constant(list(bands))
    nodes = {
        "bands": call("Image.select", input=reference("image"), bandSelectors=chosen),
        "masks": call(
            "Image.rename", input=call("Image.mask", image=reference("bands")), names=names
        ),
        "both": call("Image.addBands", dstImg=reference("bands"), srcImg=reference("masks")),
    }
    return extended(image, nodes, "both")


def masked_bands(body: bytes, grid: PixelGrid, bands: Sequence[str]) -> BandArrays:
    """Return the bands in the answer to a masked request; a mask above zero is valid.

    The least of the masks is how opaque a pixel is, as in Earth Engine's pictures.

    Raises:
        UpstreamError: the body is not an NPY of that grid with these bands.
    """
    records = decoded(read_npy, body, grid)
    missing = {*bands, *(band + _MASK for band in bands)} - {*(records.dtype.names or ())}
    if missing:
        raise UpstreamError(f"Expected the bands {', '.join(sorted(missing))} from Earth Engine.")
    masks = np.stack([records[band + _MASK] for band in bands])
    alpha = np.rint(np.clip(masks.min(axis=0), 0, 1) * 255).astype(np.uint8)
    return BandArrays(
        tuple(bands),
        np.stack([records[band] for band in bands]),
        masks > 0,
        alpha=alpha if ((alpha > 0) & (alpha < 255)).any() else None,
    )


def masked_npz(body: bytes, grid: PixelGrid, bands: Sequence[str]) -> bytes:
    """Return the answer to a masked request as NPZ; blocks, and raises as `masked_bands`."""
    return write_npz(masked_bands(body, grid, bands))
