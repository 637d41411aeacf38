"""getPixels without a server: from Python, and for the commands.

>>> from tileserver import get_pixels
>>> grid = {"dimensions": {"width": 4, "height": 2}}
>>> asset = "projects/localhost/assets/srtm_sierra_nevada"
>>> get_pixels({"assetId": asset, "fileFormat": "NUMPY_NDARRAY", "grid": grid})["elevation"].shape
(2, 4)
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.config.config import Config, load_config
from tileserver.contract.names import check_asset_name
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.wire import request_from_params
from tileserver.errors import AssetNotFound
from tileserver.mosaics.engine import mosaics_of
from tileserver.mosaics.index_file import default_folder
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import SUFFIXES, Root
from tileserver.server.definitions import catalogue_of

DEMO = Path(__file__).parents[1] / "demo" / "tileserver.toml"
DEFAULT_CONFIG = Path("tileserver.toml")


def find_config(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Config:
    """Return the configuration of a file, or ./tileserver.toml, or of the bundled demo.

    Raises:
        ConfigError: it is wrong.
    """
    if path is None and DEFAULT_CONFIG.is_file():
        path = DEFAULT_CONFIG
    config = load_config(path, environ, overrides)
    is_bare = path is None and not config.has_sources
    return load_config(DEMO, environ, overrides) if is_bare else config


def get_pixels(
    params: Mapping[str, Any], config: str | os.PathLike[str] | None = None
) -> bytes | NDArray[Any]:
    """Return pixels of an image asset, as `ee.data.getPixels` does.

    https://developers.google.com/earth-engine/apidocs/ee-data-getpixels

    Args:
        params: `assetId`, `fileFormat`, `grid`, `region`, `bandIds`, `visualizationOptions`, as
            for `ee.data.getPixels`. assetId may also be the path of a GeoTIFF.
        config: a tileserver.toml that says which assets there are; without one
            ./tileserver.toml, or else the bundled demo.

    Returns:
        The encoded pixels; for NUMPY_NDARRAY a structured array of shape (height, width) with
        a field for each band.

    Raises:
        InvalidRequest: the request cannot be fulfilled; says why.
        AssetNotFound: there is no such asset.
        ConfigError: the configuration is wrong.
    """
    request = request_from_params(params)
    if Path(request.asset_id).suffix.lower() in SUFFIXES and os.path.isfile(request.asset_id):
        catalogue = Catalogue([Root(request.asset_id)])
        (name,) = catalogue.names() or [request.asset_id]
    else:
        path = None if config is None else Path(config)
        catalogue = catalogue_of(find_config(path, os.environ, {}))
        name = find_name(catalogue, request.asset_id)
    rasters = LocalRasters(catalogue)
    try:
        body = _pixels(rasters, replace(request, asset_id=name))
    finally:
        rasters.close()
    if str(params.get("fileFormat", "")).upper() != "NUMPY_NDARRAY":
        return body
    array: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def _pixels(rasters: LocalRasters, request: PixelRequest) -> bytes:
    """Return the encoded pixels of a raster or a mosaic."""
    if request.asset_id not in rasters.catalogue.mosaics:
        return rasters.pixels(request)
    mosaics = mosaics_of(rasters.catalogue.roots, rasters, default_folder(os.environ))
    assert mosaics is not None, "there is this one"
    mosaics.indexes[request.asset_id].refresh()
    try:
        return mosaics.pixels(request)
    finally:
        mosaics.close()


def find_name(catalogue: Catalogue, name: str) -> str:
    """Return the full name of an asset, from any spelling clients use.

    Raises:
        AssetNotFound: there is no such asset.
        InvalidRequest: no asset can have that name.
    """
    full = check_asset_name(name)
    if full not in catalogue.mosaics and full not in catalogue.names():
        raise AssetNotFound(name)
    return full
