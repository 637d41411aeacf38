"""The example of the reference page of ee.data.getPixels runs as it stands.

https://developers.google.com/earth-engine/apidocs/ee-data-getpixels; the code samples of that page
are licensed under the Apache 2.0 License, https://www.apache.org/licenses/LICENSE-2.0.
"""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.clients.conftest import Served
from tests.clients.rasters import S2, S2_BEST
from tests.support.oracles import pixels_of
from tileserver.contract.grids import AffineTransform, PixelGrid

# Code sample of the page named above, Apache 2.0 License, unmodified.
EXAMPLE = """\
# Region of interest.
coords = [
    -121.58626826832939,
    38.059141484827485,
]
region = ee.Geometry.Point(coords)

# Get a Sentinel-2 image.
image = (ee.ImageCollection('COPERNICUS/S2')
  .filterBounds(region)
  .filterDate('2020-04-01', '2020-09-01')
  .sort('CLOUD_COVERAGE_ASSESSMENT')
  .first())
image_id = image.getInfo()['id']

# Make a projection to discover the scale in degrees.
proj = ee.Projection('EPSG:4326').atScale(10).getInfo()

# Get scales out of the transform.
scale_x = proj['transform'][0]
scale_y = -proj['transform'][4]

# Make a request object.
request = {
    'assetId': image_id,
    'fileFormat': 'PNG',
    'bandIds': ['B4', 'B3', 'B2'],
    'grid': {
        'dimensions': {
            'width': 640,
            'height': 640
        },
        'affineTransform': {
            'scaleX': scale_x,
            'shearX': 0,
            'translateX': coords[0],
            'shearY': 0,
            'scaleY': scale_y,
            'translateY': coords[1]
        },
        'crsCode': proj['crs'],
    },
    'visualizationOptions': {'ranges': [{'min': 0, 'max': 3000}]},
}

image_png = ee.data.getPixels(request)
"""
DEGREES = 10 / (np.pi / 180 * 6378137)


def run(ee: ModuleType) -> dict[str, Any]:
    names: dict[str, Any] = {"ee": ee}
    exec(EXAMPLE, names)
    return names


@pytest.mark.slow
def test_the_example_of_the_page_gets_the_right_picture(ee: ModuleType, served: Served) -> None:
    names = run(ee)
    assert names["image_id"] == f"{S2}/{S2_BEST}"
    assert np.isclose(names["scale_x"], DEGREES, rtol=1e-12)
    assert names["scale_y"] == -names["scale_x"]
    shown = Image.open(io.BytesIO(names["image_png"]))
    assert (shown.format, shown.size) == ("PNG", (640, 640))

    west, north = names["coords"]
    transform = AffineTransform(names["scale_x"], 0, west, 0, names["scale_y"], north)
    grid = PixelGrid(640, 640, transform, "EPSG:4326")
    oracle = pixels_of(served.folder / f"public/{S2}/{S2_BEST}.tif", grid)
    rgb = oracle.values[[2, 1, 0]].astype(float)
    visible = oracle.valid[:3].all(axis=0)
    wanted = np.asarray(np.floor(np.clip(rgb / 3000, 0, 1) * 255 + 0.5), np.uint8)

    rgba = np.moveaxis(np.asarray(shown.convert("RGBA")), -1, 0)
    clear = ~oracle.on_edge
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(rgba[3][clear], np.where(visible, 255, 0)[clear])
    sure = clear & visible
    assert 0.5 < sure.mean() < 1
    np.testing.assert_array_equal(rgba[:3][:, sure], wanted[:, sure])
