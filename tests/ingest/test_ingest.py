from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from rio_cogeo.cogeo import cog_validate

from tests.support.speeds import slow
from tileserver.errors import ConfigError, InvalidRequest, TileserverError, UnreadableRaster
from tileserver.ingest.ingest import ingest
from tileserver.ingest.pyramids import PyramidingPolicy, level_sizes, off_nodata, reduce_2x2

MEAN, MODE, SAMPLE = PyramidingPolicy.MEAN, PyramidingPolicy.MODE, PyramidingPolicy.SAMPLE
UTM = Affine(30, 0, 500000, 0, -30, 4200000)


def write(
    path: Path,
    values: Any,
    *,
    transform: Affine = UTM,
    mask: Any = None,
    names: tuple[str, ...] = (),
    crs: str | None = "EPSG:32610",
    **profile: Any,
) -> Path:
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    georeference = {"crs": crs, "transform": transform}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **shape, **georeference, **profile) as dataset,
    ):
        dataset.write(values)
        for index, name in enumerate(names, 1):
            dataset.set_band_description(index, name)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def pixels(dtype: str, count: int, height: int, width: int) -> Any:
    rng = np.random.default_rng(5)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(count, height, width)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, (count, height, width), dtype=dtype, endpoint=True)


def read_levels(path: Path) -> list[tuple[Any, Any]]:
    """(values, validity) of the image and of each overview, as rasterio sees them."""
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
        levels = [(dataset.read(), dataset.read_masks() > 0)]
    for level in range(count):
        with rasterio.open(path, overview_level=level) as overview:
            levels.append((overview.read(), overview.read_masks() > 0))
    return levels


def assert_pyramid(path: Path, policies: list[PyramidingPolicy], *, one_mask: bool = False) -> None:
    """Every level is its policy's work on the level below, and the file is a COG."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_cog, errors, complaints = cog_validate(path, strict=True)
    assert (is_cog, errors, complaints) == (True, [], [])
    levels = read_levels(path)
    height, width = levels[0][0].shape[1:]
    assert [values.shape[:0:-1] for values, _ in levels] == level_sizes(width, height)
    assert max(levels[-1][0].shape[1:]) <= 256
    for (below, below_valid), (values, valid) in itertools.pairwise(levels):
        expected = [reduce_2x2(*band) for band in zip(below, below_valid, policies, strict=True)]
        kept = np.stack([kept for _, kept in expected])
        if one_mask:
            kept &= kept.all(axis=0)
        np.testing.assert_array_equal(valid, kept)
        np.testing.assert_array_equal(values[kept], np.stack([v for v, _ in expected])[kept])


def block_mean(values: Any) -> Any:
    """NumPy's own mean of whole 2 x 2 blocks, by reshaping."""
    count, height, width = values.shape
    return values.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


ALL_TYPES = (
    *("uint8", "int16", "uint64", "float32"),
    *slow("int8", "uint16", "uint32", "int32", "int64", "float64"),
)


@pytest.mark.parametrize("dtype", ALL_TYPES)
@pytest.mark.parametrize("masked", [False, True])
def test_every_type_and_mask_keeps_its_pixels_and_gets_its_pyramid(
    tmp_path: Path, dtype: str, masked: bool
) -> None:
    values = pixels(dtype, 2, 517, 301)
    mask = np.random.default_rng(1).random((517, 301)) < 0.4 if masked else None
    source = write(tmp_path / "in.tif", values, mask=mask)
    result = ingest([source], tmp_path / "out.tif")
    assert (result.width, result.height, result.levels) == (301, 517, 2)
    kept = np.broadcast_to(True if mask is None else mask, values.shape)
    (stored, valid), *_ = read_levels(result.path)
    np.testing.assert_array_equal(valid, kept)
    np.testing.assert_array_equal(stored[kept], values[kept])
    assert_pyramid(result.path, [MEAN, MEAN])


@pytest.mark.parametrize("policy", PyramidingPolicy)
def test_a_policy_makes_each_level_and_another_one_band_of_it(
    tmp_path: Path, policy: PyramidingPolicy
) -> None:
    values = np.random.default_rng(2).integers(0, 5, (2, 700, 531), dtype=np.uint8)
    source = write(tmp_path / "in.tif", values, nodata=0, names=("value", "class"))
    result = ingest([source], tmp_path / "out.tif", policy=policy, band_policies={"class": MODE})
    assert_pyramid(result.path, [policy, MODE])
    with rasterio.open(result.path) as dataset:
        assert dataset.nodata == 0
        assert dataset.descriptions == ("value", "class")


def test_the_first_overview_is_the_plain_block_mean(tmp_path: Path) -> None:
    values = pixels("float64", 1, 600, 512)
    result = ingest([write(tmp_path / "in.tif", values)], tmp_path / "out.tif")
    np.testing.assert_allclose(read_levels(result.path)[1][0], block_mean(values), atol=1e-15)


def test_one_mask_for_bands_of_different_policies_keeps_what_is_valid_in_all(
    tmp_path: Path,
) -> None:
    values = pixels("int16", 2, 300, 300)
    mask = np.random.default_rng(1).random((300, 300)) < 0.5
    source = write(tmp_path / "in.tif", values, mask=mask)
    result = ingest([source], tmp_path / "out.tif", band_policies={"b2": SAMPLE})
    assert_pyramid(result.path, [MEAN, SAMPLE], one_mask=True)


def test_a_small_image_has_one_level_and_is_a_cog_all_the_same(tmp_path: Path) -> None:
    result = ingest([write(tmp_path / "in.tif", pixels("uint8", 1, 256, 9))], tmp_path / "o.tif")
    assert result.levels == 0
    assert_pyramid(result.path, [MEAN])


def test_the_layout_is_the_one_promised(tmp_path: Path) -> None:
    result = ingest([write(tmp_path / "in.tif", pixels("int16", 3, 300, 300))], tmp_path / "o.tif")
    with rasterio.open(result.path) as dataset:
        assert dataset.block_shapes == [(256, 256)] * 3
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        assert dataset.profile["compress"] == "deflate"
        assert dataset.mask_flag_enums[0] == [MaskFlags.all_valid]
        assert (dataset.crs.to_epsg(), dataset.transform) == (32610, UTM)


def test_a_mean_that_hits_nodata_by_chance_stays_valid(tmp_path: Path) -> None:
    for dtype in ("int16", "float32"):
        values = np.full((1, 512, 512), 4, dtype)
        values[0, ::2] = -4
        source = write(tmp_path / f"{dtype}.tif", values, nodata=0)
        result = ingest([source], tmp_path / f"{dtype}-out.tif", policy=MEAN)
        values, valid = read_levels(result.path)[1]
        assert valid.all()
        np.testing.assert_allclose(values, 1 if dtype == "int16" else 0, atol=1e-30)


@pytest.mark.parametrize("nodata", [1e30, -1e30, -9999.0, 1.0, 0.0])
def test_a_float_moved_off_nodata_is_no_longer_masked_for_gdal(
    tmp_path: Path, nodata: float
) -> None:
    values = off_nodata(np.full((4, 4), nodata, np.float32), np.float32(nodata))
    np.testing.assert_allclose(values, nodata, rtol=1e-5, atol=1e-30)
    with rasterio.open(write(tmp_path / "in.tif", values[None], nodata=nodata)) as dataset:
        assert dataset.read_masks(1).all()


def test_nan_is_masked_and_does_not_spread(tmp_path: Path) -> None:
    values = pixels("float32", 2, 300, 300)
    values[0, ::2, ::2] = np.nan
    result = ingest([write(tmp_path / "in.tif", values)], tmp_path / "out.tif")
    (_, valid), (_, valid_above) = read_levels(result.path)
    np.testing.assert_array_equal(valid, ~np.isnan(values))
    assert valid_above.all()


def test_alpha_of_nothing_between_becomes_the_mask(tmp_path: Path) -> None:
    values = pixels("uint8", 4, 300, 280)
    values[3] = np.where(values[3] < 99, 0, 255)
    source = write(tmp_path / "in.tif", values, photometric="RGB", alpha="yes")
    result = ingest([source], tmp_path / "out.tif")
    assert result.band_ids == ("b1", "b2", "b3")
    (stored, valid), *_ = read_levels(result.path)
    np.testing.assert_array_equal(valid, np.broadcast_to(values[3] > 0, (3, 300, 280)))
    np.testing.assert_array_equal(stored[valid], values[:3][valid])
    assert_pyramid(result.path, [MEAN] * 3)
    with rasterio.open(result.path) as dataset:
        assert dataset.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def test_a_table_of_colours_is_kept(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", np.ones((1, 9, 9), np.uint8))
    with rasterio.open(source, "r+") as dataset:
        dataset.write_colormap(1, {0: (0, 0, 0, 255), 1: (10, 20, 30, 255)})
    result = ingest([source], tmp_path / "out.tif", policy=MODE)
    with rasterio.open(result.path) as dataset:
        assert dataset.colormap(1)[1] == (10, 20, 30, 255)


def test_a_rotated_striped_source_keeps_its_transform(tmp_path: Path) -> None:
    rotated = Affine(30, 5, 500000, 4, -30, 4200000)
    values = pixels("uint8", 1, 400, 300)
    source = write(tmp_path / "in.tif", values, transform=rotated, blockysize=7)
    result = ingest([source], tmp_path / "out.tif")
    with rasterio.open(result.path) as dataset:
        assert dataset.transform == rotated
    assert_pyramid(result.path, [MEAN])


def test_a_given_nodata_masks_the_pixels_that_have_it(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 3, (1, 300, 300), dtype=np.int16)
    result = ingest([write(tmp_path / "in.tif", values)], tmp_path / "out.tif", nodata=2)
    (_, valid), *_ = read_levels(result.path)
    np.testing.assert_array_equal(valid, values != 2)


# Several sources


def test_sources_on_one_grid_are_stacked(tmp_path: Path) -> None:
    first, second = pixels("uint8", 1, 300, 300), pixels("int16", 2, 300, 300)
    sources = [write(tmp_path / "1.tif", first), write(tmp_path / "2.tif", second)]
    result = ingest(sources, tmp_path / "out.tif", band_ids=("a", "b", "c"))
    (values, _), *_ = read_levels(result.path)
    np.testing.assert_array_equal(values, np.concatenate([first.astype("int16"), second]))
    assert_pyramid(result.path, [MEAN] * 3)


@pytest.mark.parametrize("nodata", [None, 7])
def test_tiles_become_a_mosaic_with_the_later_on_top(tmp_path: Path, nodata: int | None) -> None:
    low, high = np.full((1, 300, 280), 1, np.uint8), np.full((1, 200, 300), 2, np.uint8)
    high[0, :, :20] = 7
    shifted = Affine(30, 0, UTM.c - 30 * 100, 0, -30, UTM.f + 30 * 50)
    sources = [
        write(tmp_path / "low.tif", low, nodata=nodata),
        write(tmp_path / "high.tif", high, transform=shifted, nodata=nodata),
    ]
    result = ingest(sources, tmp_path / "out.tif", policy=MODE)
    expected = np.zeros((350, 380), np.uint8)
    expected[50:, 100:] = 1
    expected[:200, :300] = 2
    expected[:200, :20] = 0 if nodata else 7
    (values, valid), *_ = read_levels(result.path)
    assert (result.width, result.height) == (380, 350)
    np.testing.assert_array_equal(valid[0], expected > 0)
    np.testing.assert_array_equal(np.where(valid, values, 0)[0], expected)
    with rasterio.open(result.path) as dataset:
        assert dataset.transform == shifted
        assert dataset.nodata == nodata
    assert_pyramid(result.path, [MODE])


def test_a_masked_pixel_of_a_later_tile_lets_the_earlier_one_through(tmp_path: Path) -> None:
    low, high = np.full((1, 30, 30), 5, np.int16), np.full((1, 30, 40), 6, np.int16)
    high[0, 10:] = -1
    sources = [write(tmp_path / "1.tif", low), write(tmp_path / "2.tif", high, nodata=-1)]
    (values, valid), *_ = read_levels(ingest(sources, tmp_path / "out.tif").path)
    assert values[0, 9, 5] == 6
    assert values[0, 10, 5] == 5
    assert not valid[0, 10, 35]


def test_a_wide_mosaic_is_read_in_several_windows(tmp_path: Path) -> None:
    values = pixels("uint16", 1, 1100, 1500)
    seen: list[tuple[int, int]] = []
    result = ingest(
        [write(tmp_path / "in.tif", values)],
        tmp_path / "out.tif",
        progress=lambda done, total: seen.append((done, total)),
        chunk_bytes=1,
    )
    np.testing.assert_array_equal(read_levels(result.path)[0][0], values)
    assert_pyramid(result.path, [MEAN])
    assert len(seen) > 9
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (seen[0][1], seen[0][1])


# Metadata


def test_the_sidecar_is_an_earth_engine_asset(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 2, 9, 9))
    result = ingest(
        [source],
        tmp_path / "out.tif",
        band_ids=["ndvi", "class"],
        band_policies={"class": MODE},
        start_time="2020-04-01",
        end_time="2020-04-01T20:49:19.5+02:00",
        properties={"CLOUDS": 3.5, "class_class_names": "a,b"},
    )
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "type": "IMAGE",
        "bands": [
            {"id": "ndvi", "pyramidingPolicy": "MEAN"},
            {"id": "class", "pyramidingPolicy": "MODE"},
        ],
        "startTime": "2020-04-01T00:00:00Z",
        "endTime": "2020-04-01T18:49:19.500000Z",
        "properties": {"CLOUDS": 3.5, "class_class_names": "a,b"},
    }
    assert result.sidecar == tmp_path / "out.json"


def test_a_uniform_policy_is_told_once_more_for_the_whole_image(tmp_path: Path) -> None:
    ingest([write(tmp_path / "i.tif", pixels("uint8", 1, 9, 9))], tmp_path / "o.tif", policy=MODE)
    asset = json.loads((tmp_path / "o.json").read_text())
    assert asset["pyramidingPolicy"] == "MODE"
    assert "startTime" not in asset
    assert "properties" not in asset


def fields(values: list[int], dtype: str = "uint8") -> Any:
    """Fields of 7 pixels a side, each of a random class."""
    few = np.random.default_rng(6).choice(values, (1, 90, 80))
    return np.kron(few, np.ones((1, 7, 7), int)).astype(dtype)


@pytest.mark.parametrize("how", ["few values", "a table", "a name"])
def test_classes_are_never_averaged_unless_told_to(tmp_path: Path, how: str) -> None:
    values = {"few values": [10, 20, 95], "a table": [1, 5, 9], "a name": [*range(0, 240, 3)]}[how]
    file = "nlcd.tif" if how == "a name" else "a.tif"
    source = write(tmp_path / file, fields(values))
    if how == "a table":
        with rasterio.open(source, "r+") as dataset:
            dataset.write_colormap(1, {each: (each, 0, 0) for each in values})
    result = ingest([source], tmp_path / "o.tif")
    assert result.found_classes == ("b1",)
    assert_pyramid(result.path, [MODE])
    assert all(set(np.unique(level)) <= set(values) for level, _ in read_levels(result.path))
    assert json.loads(result.sidecar.read_text())["pyramidingPolicy"] == "MODE"
    averaged = ingest([source], tmp_path / "p.tif", policy=MEAN)
    assert averaged.found_classes == ()
    assert_pyramid(averaged.path, [MEAN])


def test_bands_of_a_stack_are_averaged_but_for_those_of_classes(tmp_path: Path) -> None:
    image = write(tmp_path / "a.tif", pixels("uint16", 1, 630, 560))
    mask = write(tmp_path / "m.tif", fields([0, 1, 2], "uint16"), names=("qa",))
    heights = write(tmp_path / "dem.tif", fields([100, 120], "int16").astype("uint16"))
    result = ingest([image, mask, heights], tmp_path / "o.tif", band_ids=["r", "qa", "z"])
    assert result.found_classes == ("qa",)
    assert_pyramid(result.path, [MEAN, MODE, MEAN])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("B4", "B8.a-_"), ("B4", "B8.a-_")),
        (("B4", "B4"), ("b1", "b2")),
        (("B4", "near infrared"), ("b1", "b2")),
        ((), ("b1", "b2")),
    ],
)
def test_descriptions_name_the_bands_when_they_can(
    tmp_path: Path, names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 2, 9, 9), names=names)
    result = ingest([source], tmp_path / "out.tif")
    assert result.band_ids == expected
    with rasterio.open(result.path) as dataset:
        assert dataset.descriptions == (names or expected)


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"band_policies": {"b9": MODE}}, "no band 'b9'"),
        ({"band_ids": ["a"]}, "expected 2 band ids"),
        ({"band_ids": ["a", "a"]}, "all different"),
        ({"band_ids": ["a", "b c"]}, "letters, digits"),
        ({"nodata": 300}, "no uint8 value"),
        ({"nodata": 1.5}, "no uint8 value"),
        ({"nodata": float("nan")}, "no uint8 value"),
        ({"start_time": "April"}, "start_time 'April'"),
        ({"start_time": "2020-02-30"}, "YYYY-MM-DD"),
        ({"start_time": "2020-01-01T10:00:00"}, "RFC 3339"),
        ({"end_time": "20200101"}, "end_time"),
        ({"start_time": "2021-01-01", "end_time": "2020-01-01"}, "after end_time"),
        ({"properties": {"a": float("nan")}}, "JSON"),
        ({"properties": {"a": object()}}, "JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    tmp_path: Path, options: Mapping[str, Any], message: str
) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 2, 9, 9))
    with pytest.raises(InvalidRequest, match=message):
        ingest([source], tmp_path / "out.tif", **options)
    assert sorted(os.listdir(tmp_path)) == ["in.tif"]


def test_destinations_that_cannot_be_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 1, 9, 9))
    cases: list[tuple[list[Path], Path, type[TileserverError], str]] = [
        ([], tmp_path / "out.tif", InvalidRequest, "nothing to ingest"),
        ([source], tmp_path / "out.png", InvalidRequest, "must end in .tif"),
        ([source], source, InvalidRequest, "one of the sources"),
        ([source], tmp_path / "none" / "out.tif", ConfigError, "folder must exist"),
        ([tmp_path / "none.tif"], tmp_path / "out.tif", UnreadableRaster, "no such file"),
    ]
    for sources, destination, error, message in cases:
        with pytest.raises(error, match=message):
            ingest(sources, destination, overwrite=True)
    assert os.listdir(tmp_path) == ["in.tif"]


@pytest.mark.parametrize("present", ["out.tif", "out.json"])
def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path, present: str) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 1, 9, 9))
    (tmp_path / present).write_text("before")
    (tmp_path / "out.tif.msk").write_text("a mask of the one before")
    with pytest.raises(InvalidRequest, match="exists already"):
        ingest([source], tmp_path / "out.tif")
    assert (tmp_path / present).read_text() == "before"
    ingest([source], tmp_path / "out.tif", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["in.tif", "out.json", "out.tif"]


def test_sources_that_are_no_images_on_the_earth_are_refused(tmp_path: Path) -> None:
    values = pixels("uint8", 1, 9, 9)
    write(tmp_path / "complex.tif", values.astype("complex64"))
    write(tmp_path / "alpha.tif", values)
    with rasterio.open(tmp_path / "alpha.tif", "r+") as dataset:
        dataset.colorinterp = [ColorInterp.alpha]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        write(tmp_path / "transform.tif", values, transform=Affine.identity())
        with rasterio.open(
            tmp_path / "png.tif", "w", driver="PNG", width=9, height=9, count=1, dtype="uint8"
        ) as dataset:
            dataset.write(values)
    for name, error, message in (
        ("complex", InvalidRequest, "complex64 pixels"),
        ("alpha", InvalidRequest, "no band but alpha"),
        ("transform", InvalidRequest, "no affine transform"),
        ("png", UnreadableRaster, "not a readable GeoTIFF"),
    ):
        with pytest.raises(error, match=message):
            ingest([tmp_path / f"{name}.tif"], tmp_path / "out.tif")


@pytest.mark.parametrize(
    ("shape", "dtype", "profile", "message"),
    [
        ((1, 40, 30), "int64", {"crs": "EPSG:32611"}, "EPSG:32611"),
        (
            (1, 40, 30),
            "int64",
            {"transform": Affine(30, 0, 500010, 0, -30, 4200000)},
            "not aligned",
        ),
        (
            (1, 40, 30),
            "int64",
            {"transform": Affine(60, 0, 500000, 0, -60, 4200000)},
            "not aligned",
        ),
        ((2, 40, 30), "int64", {}, r"got \[1, 2\] bands"),
        ((1, 30, 30), "float64", {}, "no pixel type holds"),
        ((1, 30, 30), "int64", {"nodata": 5}, "masked in different places"),
    ],
)
def test_sources_that_do_not_fit_together_are_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, profile: Mapping[str, Any], message: str
) -> None:
    sources = [
        write(tmp_path / "1.tif", np.zeros((1, 30, 30), np.int64)),
        write(tmp_path / "2.tif", np.full(shape, 5, dtype), **profile),
    ]
    with pytest.raises(InvalidRequest, match=message):
        ingest(sources, tmp_path / "out.tif")
    assert sorted(os.listdir(tmp_path)) == ["1.tif", "2.tif"]


def test_a_damaged_source_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 1, 900, 900), compress="deflate")
    os.truncate(source, 400_000)
    with pytest.raises(UnreadableRaster, match="damaged"):
        ingest([source], tmp_path / "out.tif")
    assert os.listdir(tmp_path) == ["in.tif"]


# Interruptions, in a process of their own

SCRIPT = """
import sys
from pathlib import Path
from tileserver.ingest.ingest import ingest

def progress(done, total):
    print(done, flush=True)
    sys.stdin.readline()

ingest([Path("in.tif")], Path("out.tif"), overwrite=True, progress=progress)
"""


def start(folder: Path, steps: int) -> subprocess.Popen[str]:
    """Start an ingest and let it take as many steps, then it waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may ignore Ctrl-C, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(steps):
        assert process.stdout.readline().strip().isdigit()
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.stdout.readline().strip().isdigit()
    return process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "in.tif", pixels("uint8", 1, 1500, 600))
    (tmp_path / "out.tif").write_text("the raster before")
    (tmp_path / "out.json").write_text("the sidecar before")
    return tmp_path


def assert_untouched(folder: Path) -> None:
    assert (folder / "out.tif").read_text() == "the raster before"
    assert (folder / "out.json").read_text() == "the sidecar before"


@pytest.mark.parametrize("steps", [0, 4])
def test_ctrl_c_leaves_everything_as_it_was(folder: Path, steps: int) -> None:
    process = start(folder, steps)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors
    assert_untouched(folder)
    assert sorted(os.listdir(folder)) == ["in.tif", "out.json", "out.tif"]


@pytest.mark.parametrize("steps", [0, 4])
def test_a_kill_leaves_hidden_files_that_the_next_ingest_removes(folder: Path, steps: int) -> None:
    process = start(folder, steps)
    process.kill()
    process.communicate(timeout=120)
    assert_untouched(folder)
    left = sorted(os.listdir(folder))
    assert left == [".out.tif.ingest.tmp", "in.tif", "out.json", "out.tif"]
    assert not [path for path in (folder / left[0]).iterdir() if path.suffix == ".tif"]
    result = ingest([folder / "in.tif"], folder / "out.tif", overwrite=True)
    assert_pyramid(result.path, [MEAN])
    assert sorted(os.listdir(folder)) == ["in.tif", "out.json", "out.tif"]


def test_two_ingests_of_one_name_do_not_disturb_each_other(folder: Path) -> None:
    process = start(folder, 1)
    with pytest.raises(InvalidRequest, match="by another process"):
        ingest([folder / "in.tif"], folder / "out.tif", overwrite=True)
    _, errors = process.communicate("\n" * 20, timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert_pyramid(folder / "out.tif", [MEAN])


@pytest.mark.parametrize("missing_bytes", [8, 40_000, 900_000])
def test_a_full_disk_is_told_and_leaves_everything_as_it_was(
    folder: Path, missing_bytes: int
) -> None:
    whole = ingest([folder / "in.tif"], folder / "whole.tif").path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so that a file which grows past the limit is an error like any other.
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole - missing_bytes, before[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written"):
            ingest([folder / "in.tif"], folder / "out.tif", overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_untouched(folder)
    assert not list(folder.glob(".*"))


def test_a_raster_that_cannot_be_moved_leaves_the_old_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.tif", pixels("uint8", 1, 9, 9))
    moved: list[str] = []

    def replace(made: Path, place: Path) -> None:
        if moved:
            raise PermissionError("in use")
        moved.append(place.name)
        made.rename(place)

    monkeypatch.setattr("tileserver.ingest.ingest.os.replace", replace)
    for before in (None, "the sidecar before"):
        moved.clear()
        if before:
            (tmp_path / "out.json").write_text(before)
        with pytest.raises(ConfigError, match="in use"):
            ingest([source], tmp_path / "out.tif", overwrite=True)
        assert moved == ["out.json"]
        assert (tmp_path / "out.json").exists() is bool(before)
    assert (tmp_path / "out.json").read_text() == "the sidecar before"
