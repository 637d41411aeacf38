"""What an item says, as an image."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.stacfiles import COG, asset, item, scene_assets
from tileserver.errors import UnreadableRaster
from tileserver.rasters.files import Place
from tileserver.rasters.stac.items import Item, is_item, name_of, read_item


def place(href: str) -> Place | str:
    return Place("/data", href)


def read(document: dict[str, Any], renders: object = None) -> Item:
    return read_item(document, "a", place, renders)


def ids(document: dict[str, Any]) -> list[str]:
    """Return the ids of all bands that an item tells of, or of files whose bands it does not."""
    files = read(document).where.files
    return [band for file in files for band in ([each for each, _ in file.bands] or [file.id])]


def test_the_geotiffs_of_data_are_bands_named_by_their_keys() -> None:
    found = read(item("S2A", scene_assets()))
    assert [file.id for file in found.where.files] == ["blue", "red", "nir08", "scl"]
    assert [file.location for file in found.where.files] == [
        Place("/data", f"{band}.tif") for band in ("B02", "B04", "B8A", "SCL")
    ]
    assert ids(item("S2A", scene_assets())) == ["blue", "red", "nir08", "scl"]
    blue = found.where.files[0].bands[0][1]
    assert (blue.common_name, blue.wavelength_um) == ("blue", 0.49)


def test_several_bands_of_a_file_have_their_own_names() -> None:
    two = [{"name": "red"}, {"name": "nir"}]
    assert ids(item("a", {"image": asset("a.tif", *two)})) == ["red", "nir"]
    both = {"image": asset("a.tif", *two), "mask": asset("b.tif", {"name": "red"}, {"name": "q"})}
    assert ids(item("a", both)) == ["image_red", "nir", "mask_red", "q"]


def test_bands_of_stac_1_1_are_known() -> None:
    bands = [{"name": "r", "eo:common_name": "red", "unit": "1"}, {"name": "n"}]
    document = item("a", {"image": {"href": "a.tif", "type": COG, "bands": bands}})
    (file,) = read(document).where.files
    assert [band for band, _ in file.bands] == ["r", "n"]
    assert (file.bands[0][1].common_name, file.bands[0][1].unit) == ("red", "1")


def test_bands_of_two_extensions_are_one() -> None:
    raster = {"raster:bands": [{"data_type": "uint16", "unit": "metre"}]}
    (file,) = read(item("a", {"dem": asset("a.tif", {"name": "h"}, **raster)})).where.files
    assert [(band, notes.unit) for band, notes in file.bands] == [("dem", "metre")]


def test_a_picture_counts_only_where_there_is_nothing_else() -> None:
    visual = {"visual": asset("TCI.tif", {"name": "r"}, {"name": "g"}, {"name": "b"})}
    assert ids(item("a", visual)) == ["r", "g", "b"]
    assert ids(item("a", {**visual, "red": asset("r.tif", {"name": "red"})})) == ["red"]


def test_a_file_without_a_type_is_known_by_its_name() -> None:
    assets = {"a": {"href": "x.TIF?sig=1"}, "b": {"href": "x.tiff"}, "c": {"href": "x.tif.xml"}}
    assert ids(item("i", assets)) == ["a", "b"]


def test_times_and_properties_are_those_of_the_image() -> None:
    one = read(item("a", scene_assets(), cloud=3)).members
    assert one["startTime"] == "2024-06-01T18:49:19.123000Z"
    assert "endTime" not in one
    assert one["properties"]["cloud"] == 3
    span = {"start_datetime": "2024-01-01T02:00:00+02:00", "end_datetime": "2024-12-31T00:00:00Z"}
    two = read(item("a", scene_assets(), datetime=None, **span)).members
    assert (two["startTime"], two["endTime"]) == ("2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z")


@pytest.mark.parametrize(
    ("render", "properties"),
    [
        (
            {"assets": ["red", "blue", "nir08"], "rescale": [[0, 1], [2, 3], [4, 5]]},
            {"bands": ["red", "blue", "nir08"], "min": [0, 2, 4], "max": [1, 3, 5]},
        ),
        (
            {"assets": ["red"], "rescale": [[0, 3000]], "colormap_name": "viridis"},
            {"bands": ["red"], "min": [0], "max": [3000], "palette": "viridis"},
        ),
        (
            {"assets": ["scl"], "colormap": {"1": "#ff0000", "3": [0, 0, 255, 255]}},
            {"bands": ["scl"], "min": [1], "max": [3], "palette": ["ff0000", "000000", "0000ff"]},
        ),
        ({"assets": ["red", "blue"]}, {}),
        ({"assets": ["gone"]}, {}),
        ({"assets": ["red"], "expression": "red*2"}, {}),
        ({"assets": "red"}, {}),
        ("red", {}),
    ],
)
def test_the_render_extension_is_how_it_is_drawn(render: Any, properties: dict[str, Any]) -> None:
    found = read(item("a", scene_assets(), renders={"one": render})).members["properties"]
    start = "visualization_0_"
    drawn = {key.removeprefix(start): found[key] for key in found if key.startswith(start)}
    drawn.pop("name", None)
    assert drawn == properties
    of_collection = read(item("a", scene_assets()), {"one": render}).members["properties"]
    assert (f"{start}bands" in of_collection) == bool(properties)


def test_an_item_without_files_says_so() -> None:
    assert "no asset that is a GeoTIFF" in read(item("a", {})).where.problem
    many = {f"b{number}": asset(f"{number}.tif") for number in range(300)}
    assert "300 GeoTIFFs" in read(item("a", many)).where.problem


def test_an_item_whose_files_may_not_be_read_says_why() -> None:
    def refuse(href: str) -> Place | str:
        raise UnreadableRaster("not there")

    assert read_item(item("a", scene_assets()), "a", refuse).where.problem == "not there"


@pytest.mark.parametrize(
    "wrong",
    [
        {"assets": {"a": None, "b": 1, "c": {"href": 5}, "d": {"href": "x.tif", "roles": 7}}},
        {"properties": None, "assets": {"d": {"href": "x.tif", "eo:bands": "no"}}},
        {"assets": {"d": {"href": "x.tif", "eo:bands": [1, None], "raster:bands": [{}] * 5000}}},
        {"assets": {"d": {"href": "x.tif", "bands": [{"name": [1], "unit": 4}]}}},
        {"properties": {"datetime": 5, "renders": [1]}, "assets": {"d": {"href": "x.tif"}}},
        {"assets": {"": {"href": "x.tif"}, "€": {"href": "y.tif"}, "$": {"href": "z.tif"}}},
    ],
)
def test_members_of_the_wrong_type_are_as_if_they_were_not_there(wrong: dict[str, Any]) -> None:
    found = read({**item("a", {}), **wrong}).where
    assert found.files
    assert len({file.id for file in found.files}) == len(found.files)


def test_what_is_an_item() -> None:
    assert is_item(item("a", {}))
    for missing in ("stac_version", "assets", "type"):
        assert not is_item({k: v for k, v in item("a", {}).items() if k != missing})


def test_ids_are_parts_of_names() -> None:
    assert name_of({"id": "../../etc/passwd"}) == "etc_passwd"
    assert name_of({"id": "LC08 L2/é"}) == "LC08_L2"
    assert name_of({"id": 5}) == name_of({}) == name_of({"id": ".."}) == ""


@pytest.mark.parametrize(
    ("bands", "nodata"),
    [
        ({"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}, 0.0),
        ({"raster:bands": [{"nodata": "nan"}]}, float("nan")),
        ({"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}], "nodata": -9999}, -9999.0),
        ({"raster:bands": [{"nodata": "none"}]}, None),
        ({"raster:bands": [{"nodata": True}, {"nodata": True}]}, None),
        ({"raster:bands": [{"nodata": 0}, {"nodata": 1}]}, None),
    ],
)
def test_nodata_scale_and_offset_are_known(bands: dict[str, Any], nodata: float | None) -> None:
    (file,) = read(item("a", {"x": asset("a.tif", **bands)})).where.files
    assert file.nodata == pytest.approx(nodata, nan_ok=True)
    if nodata in (0.0, -9999.0):
        assert (file.bands[0][1].scale, file.bands[0][1].offset) == (0.0001, -0.1)
