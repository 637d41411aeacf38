from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from tests.rasters.engine import asset_of, name_of, raster_of
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.names import check_asset_name
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.rasters.geotiffs import describe_raster, read_sidecar


def described(path: Path, sidecar: dict[str, Any]) -> Any:
    with rasterio.open(path) as dataset:
        return describe_raster(dataset, name_of(path), str(path), "v1", sidecar)


def test_an_asset_is_what_its_file_says(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "scene.tif", noise(3, 300, 400), nodata=0, descriptions=("B4", "B3", "B2")
    )
    raster = raster_of(path)
    asset = raster.asset
    placed = AffineTransform(30, 0, 400_000, 0, -30, 4_500_000)
    assert asset.name == "projects/localhost/assets/scene"
    assert {band.grid for band in asset.bands} == {PixelGrid(400, 300, placed, "EPSG:32612")}
    assert asset.band_ids == ("B4", "B3", "B2")
    assert {band.dtype for band in asset.bands} == {np.dtype("uint16")}
    assert {band.nodata for band in asset.bands} == {0}
    assert asset.overview_factors == (2, 4)
    assert [level.factor for level in raster.levels] == [1, 2, 4]
    assert raster.has_mask
    assert not raster.shares_mask


@pytest.mark.parametrize(
    ("descriptions", "ids"),
    [
        (None, ("b1", "b2")),
        (("red", "near infrared"), ("red", "near_infrared")),
        (("red", "red"), ("b1", "b2")),
        (("red", "***"), ("b1", "b2")),
    ],
)
def test_bands_are_named_after_their_descriptions_or_numbered(
    tmp_path: Path, descriptions: tuple[str, str] | None, ids: tuple[str, str]
) -> None:
    path = write_raster(tmp_path / "a.tif", noise(2, 20, 20), descriptions=descriptions)
    assert asset_of(path).band_ids == ids


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_an_alpha_band_is_no_band_and_hides_pixels_behind_any_number(
    tmp_path: Path, count: int
) -> None:
    path = write_raster(tmp_path / "a.tif", noise(count, 40, 40, "uint8"), alpha=True)
    raster = raster_of(path)
    assert len(raster.asset.bands) == count
    assert raster.alpha_index == count + 1
    assert raster.has_mask
    assert raster.shares_mask


def test_a_raster_without_masks_has_none(tmp_path: Path) -> None:
    raster = raster_of(write_raster(tmp_path / "a.tif", noise(2, 40, 40)))
    assert (raster.has_mask, raster.shares_mask, raster.alpha_index) == (False, False, None)


def test_a_sidecar_names_the_bands_and_tells_the_rest(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(2, 40, 40))
    sidecar = {
        "bands": [
            {"id": "ndvi", "pyramidingPolicy": "MEAN"},
            {"id": "qa", "pyramidingPolicy": "MODE"},
        ],
        "startTime": "2020-04-01T00:00:00Z",
        "properties": {"cloud": 3},
    }
    asset = described(path, sidecar).asset
    assert asset.band_ids == ("ndvi", "qa")
    assert [band.pyramiding_policy for band in asset.bands] == ["MEAN", "MODE"]
    shown = asset.to_json()
    assert shown["startTime"] == "2020-04-01T00:00:00Z"
    assert shown["properties"] == {"cloud": 3}
    assert [band["id"] for band in shown["bands"]] == ["ndvi", "qa"]
    assert shown["bands"][0]["dataType"]["range"] == {"min": 0, "max": 65535}
    assert str(tmp_path) not in str(shown)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([{"id": "one"}], "give the GeoTIFF's 2 bands an id"),
        ([{"id": "one"}, {"id": "one"}], "no two the same"),
        ([{"id": "one"}, {}], "an id"),
        ([{"id": "one"}, {"id": "a b"}], "letters, digits"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused(
    tmp_path: Path, bands: list[dict[str, str]], message: str
) -> None:
    path = write_raster(tmp_path / "a.tif", noise(2, 40, 40))
    with pytest.raises(UnreadableRaster, match=message):
        described(path, {"bands": bands})


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[]", "must be a JSON object"), ('{"bands": 3}', "bands .* must be")],
)
def test_a_sidecar_that_is_no_asset_is_refused(text: str, message: str) -> None:
    with pytest.raises(UnreadableRaster, match=message):
        read_sidecar(text, "projects/localhost/assets/a")


def test_bands_are_found_by_name_in_the_order_asked_for(tmp_path: Path) -> None:
    asset = asset_of(write_raster(tmp_path / "a.tif", noise(3, 20, 20)))
    assert asset.indexes(()) == (0, 1, 2)
    assert asset.indexes(("b3", "b1")) == (2, 0)
    with pytest.raises(InvalidRequest, match=r"'b9' did not match any bands\. Bands: b1, b2, b3"):
        asset.indexes(("b1", "b9"))
    with pytest.raises(InvalidRequest, match="must not repeat"):
        asset.indexes(("b1", "b1"))


def test_a_table_of_colours_is_kept(tmp_path: Path) -> None:
    values = noise(1, 40, 40, "uint8") % 3
    path = write_raster(tmp_path / "a.tif", values, photometric="palette", resampling="nearest")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (255, 0, 0), 1: (0, 255, 0), 2: (0, 0, 255)})
    # The table has black for all other values.
    assert asset_of(path).color_table == ("ff0000", "00ff00", "0000ff", "000000")


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("projects/p/assets/a", "projects/p/assets/a"),
        ("users/someone/a", "users/someone/a"),
        ("USGS/SRTM", "projects/earthengine-public/assets/USGS/SRTM"),
        ("projects/earthengine-legacy/assets/projects/p/assets/a", "projects/p/assets/a"),
    ],
)
def test_every_spelling_of_a_name_is_the_full_one(name: str, full: str) -> None:
    assert check_asset_name(name) == full


@pytest.mark.parametrize("name", ["", "a//b", "../a", "a/./b", "/a", "a" * 1001])
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="is not the name of an asset"):
        check_asset_name(name)
