"""VRTs as `gdalbuildvrt` writes them, and GDAL's own reading of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.enums import ColorInterp

from tests.rasters.engine import engine, raw
from tests.support.rasterfiles import UTAH
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays


def source(
    name: str,
    band: int | str = 1,
    src: Sequence[float] = (),
    dst: Sequence[float] = (),
    kind: str = "SimpleSource",
    more: str = "",
    relative: int = 1,
) -> str:
    """Return the XML of a source; rectangles are left, top, width and height."""
    rects = "".join(
        '<{} xOff="{}" yOff="{}" xSize="{}" ySize="{}"/>'.format(tag, *rect)
        for tag, rect in (("SrcRect", src), ("DstRect", dst))
        if rect
    )
    return (
        f'<{kind}><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>{rects}{more}</{kind}>"
    )


def band(*content: str, dtype: str = "Byte", more: str = "") -> str:
    return f'<VRTRasterBand dataType="{dtype}" {more}>{"".join(content)}</VRTRasterBand>'


def write_vrt(
    path: Path,
    bands: Iterable[str],
    width: int,
    height: int,
    more: str = "",
    crs: str = "EPSG:32612",
    transform: Affine = UTAH,
    kind: str = "",
) -> Path:
    numbers = ",".join(map(str, transform.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}" {kind}><SRS>{crs}</SRS>'
        f"<GeoTransform>{numbers}</GeoTransform>{''.join(bands)}{more}</VRTDataset>"
    )
    return path


def by_gdal(path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the values and validity of all bands but alpha, zero where nothing is valid."""
    with rasterio.open(path) as dataset:
        colors = dataset.colorinterp
        bands = [i for i in dataset.indexes if colors[i - 1] != ColorInterp.alpha]
        valid = dataset.read_masks(bands) != 0
        values = dataset.read(bands)
    return np.where(valid, values, values.dtype.type(0)), valid


def by_us(path: Path, grid: PixelGrid | None = None) -> BandArrays:
    return engine(path).bands(raw(path, grid))


def check(path: Path) -> NDArray[np.bool_]:
    """Compare all pixels with GDAL's; return which are valid."""
    values, valid = by_gdal(path)
    found = by_us(path)
    np.testing.assert_array_equal(found.valid, valid)
    np.testing.assert_array_equal(found.masked_to_zero(), values)
    assert found.values.dtype == values.dtype
    return valid
