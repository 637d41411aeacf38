"""Variables of NetCDF and Zarr as images, with xarray's reading of them as the oracle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.rasters.cubes.cubefiles import (
    KINDS,
    PREFIX,
    STEPS,
    as_xarray,
    catalogue,
    masked,
    read,
    weather,
    write,
    write_classic,
)
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import AssetChanged, AssetNotFound, ConfigError, UnreadableRaster
from tileserver.rasters.cubes import sources
from tileserver.rasters.cubes.cube_file import CubeFile
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.files import Place
from tileserver.server.sources import sources as command_line

Serve = Callable[..., LocalRasters]
PACKED = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 285.0, "_FillValue": -32767}
FIRST = "20200101T000000"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that returns the engine over a file."""
    with ExitStack() as stack:

        def make(path: Path, **settings: Any) -> LocalRasters:
            rasters = LocalRasters(catalogue(path, **settings))
            stack.callback(rasters.close)
            return rasters

        yield make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", [{}, PACKED], ids=["plain", "packed"])
def test_values_are_those_of_xarray(
    kind: str, encoding: dict[str, Any], tmp_path: Path, serve: Serve
) -> None:
    path = write(weather(), tmp_path, kind, **({"t2m": encoding} if encoding else {}))
    expected = as_xarray(path, tmp_path)
    rasters = serve(path)
    names = rasters.catalogue.names()
    assert f"{PREFIX}era5/lsm" in names
    assert len([n for n in names if n.startswith(f"{PREFIX}era5/t2m/")]) == STEPS
    assert rasters.catalogue.mosaics == (f"{PREFIX}era5/t2m",)
    for step, name in ((0, FIRST), (STEPS - 1, "20200103T180000")):
        found = read(rasters, f"era5/t2m/{name}")
        assert found.values.dtype == expected["t2m"].dtype
        np.testing.assert_array_equal(masked(found), expected["t2m"].values[step])
    np.testing.assert_array_equal(masked(read(rasters, "era5/lsm")), expected["lsm"].values)


def test_what_is_known_of_an_image(tmp_path: Path, serve: Serve) -> None:
    rasters = serve(write(weather(), tmp_path, "nc"))
    asset = rasters.catalogue.find(f"{PREFIX}era5/t2m/20200101T060000").asset
    assert asset.start_time == "2020-01-01T06:00:00.000000Z"
    (band,) = asset.bands
    assert (band.id, band.notes.unit, band.notes.description) == ("t2m", "K", "temperature")
    # Coordinates are the centres of pixels.
    edges = AffineTransform(1.0, 0.0, -0.5, 0.0, -1.0, 60.5)
    assert band.grid == PixelGrid(360, 31, edges, "EPSG:4326")


@pytest.mark.parametrize("kind", ["nc", "zarr3"])
@pytest.mark.parametrize("ascending", [True, False])
def test_rows_may_run_either_way_and_longitudes_to_360(
    kind: str, ascending: bool, tmp_path: Path, serve: Serve
) -> None:
    lat = np.arange(30, 60.1, 1.0)
    dataset = weather(lat if ascending else lat[::-1].copy())
    rasters = serve(write(dataset, tmp_path, kind))
    # West of Greenwich, which the file has as 350 to 359 degrees.
    grid = PixelGrid(10, 8, AffineTransform.north_up(-10.5, 50.5, 1.0, 1.0), "EPSG:4326")
    expected = dataset["t2m"].sel(lat=np.arange(50, 42.5, -1.0), lon=np.arange(350, 360.0))
    found = masked(read(rasters, f"era5/t2m/{FIRST}", grid=grid))
    np.testing.assert_array_equal(found, expected.values[0])


def test_a_projection_is_that_of_the_grid_mapping(tmp_path: Path, serve: Serve) -> None:
    import rasterio

    wkt = rasterio.crs.CRS.from_epsg(32633).to_wkt()
    x, y = 500_015 + 30.0 * np.arange(20), 5_200_000 - 30.0 * np.arange(10)
    dataset = weather(y, x, 2).rename(lat="y", lon="x")
    for axis in ("x", "y"):
        dataset[axis].attrs = {"units": "m", "standard_name": f"projection_{axis}_coordinate"}
    dataset["spatial_ref"] = ((), 0, {"crs_wkt": wkt})
    dataset["t2m"].attrs["grid_mapping"] = "spatial_ref"
    rasters = serve(write(dataset, tmp_path, "nc"))
    grid = rasters.catalogue.find(f"{PREFIX}era5/t2m/{FIRST}").grid
    assert grid.crs_code == "EPSG:32633"
    assert grid.transform == AffineTransform(30.0, 0.0, 500_000.0, 0.0, -30.0, 5_200_015.0)


def _bent(dataset: Any) -> Any:
    lat = dataset["lat"].values.copy()
    lat[5] += 0.1
    return dataset.assign_coords(lat=("lat", lat, dataset["lat"].attrs))


def _flat(dataset: Any) -> Any:
    lon, lat = np.meshgrid(dataset["lon"].values, dataset["lat"].values)
    moved = dataset.drop_vars(["lat", "lon"]).rename(lat="j", lon="i")
    return moved.assign_coords(lat=(("j", "i"), lat), lon=(("j", "i"), lon))


def _without_crs(dataset: Any) -> Any:
    moved = dataset.rename(lat="y", lon="x")
    for axis in ("x", "y"):
        moved[axis].attrs = {"units": "m"}
    return moved


def _short_years(dataset: Any) -> Any:
    attributes = {"units": "days since 2020-01-01", "calendar": "360_day"}
    return dataset.assign_coords(time=("time", np.arange(2), attributes))


def _levels(dataset: Any) -> Any:
    return dataset.expand_dims(level=[1, 2], axis=1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (_bent, "lat: its coordinates are not evenly spaced"),
        (_flat, r"two-dimensional coordinates \(lat, lon\); expected a regular grid"),
        (_without_crs, "its CRS is not known"),
        (_short_years, "the calendar '360_day', whose days are not dates"),
        (_levels, r"its dimensions are \(time, level, lat, lon\); expected \(y, x\) or"),
    ],
)
def test_what_is_no_regular_grid_is_refused_with_its_reason(
    changed: Callable[[Any], Any], reason: str, tmp_path: Path
) -> None:
    path = write(changed(weather(steps=2)[["t2m"]]), tmp_path, "nc")
    with pytest.raises(ConfigError, match=reason) as caught:
        catalogue(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"", b"CDF\x01" + b"\xff" * 90, b"CDF\x01", b"\x89HDF\r\n\x1a\n" + bytes(90)]
)
def test_what_is_no_netcdf_is_refused(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    path.write_bytes(body)
    with pytest.raises(ConfigError, match=r"x\.nc: (not a readable NetCDF file|the header of the)"):
        catalogue(path)


def test_without_the_extra_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs h5py and cftime: pip install 'ee-tileserver\["):
        catalogue(write(weather(steps=1), tmp_path, "nc"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_changes_has_other_versions_and_times(
    kind: str, tmp_path: Path, serve: Serve
) -> None:
    path = write(weather(steps=2), tmp_path, kind)
    rasters = serve(path)
    name = f"{PREFIX}era5/t2m/{FIRST}"
    before = rasters.catalogue.find(name, 0.0).asset
    first = read(rasters, f"era5/t2m/{FIRST}")
    # As programs do that leave no half-written file.
    other = tmp_path / "other"
    other.mkdir()
    made = write(weather(steps=3) + 1, other, kind)
    if path.is_dir():
        os.rename(path, tmp_path / "gone")
    os.rename(made, path)
    location = rasters.catalogue._entries[name].location
    location.variable.file._due_s = 0.0  # type: ignore[union-attr]
    after = rasters.catalogue.find(name, 0.0).asset
    assert after.version != before.version
    np.testing.assert_allclose(
        masked(read(rasters, f"era5/t2m/{FIRST}")), masked(first) + 1, rtol=1e-6
    )
    assert f"{PREFIX}era5/t2m/20200101T120000" in rasters.catalogue.scan_again().images
    path.rename(tmp_path / "gone too")
    location.variable.file._due_s = 0.0  # type: ignore[union-attr]
    with pytest.raises(AssetNotFound):
        rasters.catalogue.find(name, 0.0)


def test_nothing_outside_of_a_file_is_read(tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4 * 31 * 360))
    path = write(weather(steps=1), tmp_path, "nc")
    other = tmp_path / "other.nc"
    os.rename(write(weather(steps=1).rename(lsm="far"), tmp_path / ".", "nc"), other)
    path = write(weather(steps=1), tmp_path, "nc")
    with h5py.File(path, "a") as file:
        outside = file.create_dataset(
            "outside", (31, 360), "i4", external=[(str(secret), 0, secret.stat().st_size)]
        )
        layout = h5py.VirtualLayout((31, 360), "i2")
        layout[:] = h5py.VirtualSource(str(other), "far", (31, 360))
        virtual = file.create_virtual_dataset("virtual", layout)
        for dataset in (outside, virtual):
            for number, name in enumerate(("lat", "lon")):
                dataset.dims[number].attach_scale(file[name])
        file["linked"] = h5py.ExternalLink(str(other), "far")
    assert {name.rpartition("/")[2] for name in catalogue(path).names()} == {"lsm", FIRST}


def test_no_link_is_followed_out_of_a_zarr_store(tmp_path: Path, serve: Serve) -> None:
    path = write(weather(steps=1), tmp_path, "zarr2", lsm={"compressors": None})
    (chunk,) = (each for each in (path / "lsm").iterdir() if each.name[0].isdigit())
    outside = tmp_path / "outside"
    chunk.rename(outside)
    chunk.symlink_to(outside)
    found = read(serve(path), "era5/lsm")
    # A chunk that is not there has the fill value, here of none.
    assert not found.values[found.valid].any()


def test_codecs_that_may_run_code_are_refused(tmp_path: Path) -> None:
    path = write(weather(steps=1), tmp_path, "zarr2")
    array = path / "lsm" / ".zarray"
    array.write_text(array.read_text().replace('"filters": null', '"filters": [{"id": "pickle"}]'))
    assert "pickle" in array.read_text()
    with pytest.raises(ConfigError, match="the codec 'pickle' of a Zarr store is not read"):
        catalogue(path)


def test_chunks_that_fill_the_memory_are_refused(tmp_path: Path) -> None:
    import h5py

    path = write(weather(steps=1), tmp_path, "nc")
    with h5py.File(path, "a") as file:
        lat, lon = (file.create_dataset(n, (9000,), "f8", data=np.arange(9000.0)) for n in "yx")
        lat.attrs["units"], lon.attrs["units"] = "degrees_north", "degrees_east"
        bomb = file.create_dataset("bomb", (9000, 9000), "f4", chunks=(9000, 9000))
        for number, scale in enumerate((lat, lon)):
            scale.make_scale("yx"[number])
            bomb.dims[number].attach_scale(scale)
    assert f"{PREFIX}era5/bomb" not in catalogue(path).names()


def test_chunks_without_values_are_refused(tmp_path: Path) -> None:
    path = write(weather(steps=1)[["lsm"]], tmp_path, "zarr2")
    array = path / "lsm" / ".zarray"
    members = json.loads(array.read_text())
    array.write_text(json.dumps({**members, "chunks": [31, 0]}))
    with pytest.raises(ConfigError, match="lsm: its chunks have no values"):
        catalogue(path)


def test_a_folder_without_such_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file of netCDF \(\.nc, \.nc4\) there"):
        catalogue(tmp_path, formats=("netCDF",))


def test_a_path_on_the_command_line_leads_to_the_setting(tmp_path: Path) -> None:
    for kind, name in (("nc", "netCDF"), ("zarr3", "Zarr")):
        path = write(weather(steps=1), tmp_path, kind)
        with pytest.raises(ConfigError, match=rf'formats = \["{name}"\] serves this file'):
            command_line([str(path)], (), None, {}, ())


def test_a_damaged_chunk_is_an_error_of_its_image(tmp_path: Path, serve: Serve) -> None:
    path = write(weather(steps=1), tmp_path, "zarr2")
    (chunk,) = (each for each in (path / "lsm").iterdir() if each.name[0].isdigit())
    rasters = serve(path)
    chunk.write_bytes(b"no blosc")
    with pytest.raises(UnreadableRaster, match=r"era5\.zarr: its values cannot be read"):
        read(rasters, "era5/lsm")


@pytest.mark.parametrize("encoding", [{}, PACKED], ids=["plain", "packed"])
@pytest.mark.parametrize("unlimited", [None, "time"])
def test_a_classic_file_with_one_variable_of_records(
    encoding: dict[str, Any], unlimited: str | None, tmp_path: Path, serve: Serve
) -> None:
    path = tmp_path / "era5.nc"
    # Rows of an odd length of two bytes each: records are padded where there are several.
    dataset = weather(lon=np.arange(0, 33.0), lat=np.arange(0, 7.0))
    told = {"t2m": encoding} if encoding else {}
    write_classic(dataset, path, "NETCDF3_64BIT_OFFSET", told, unlimited)
    expected = as_xarray(path, tmp_path)["t2m"].values
    rasters = serve(path)
    for step, name in ((0, FIRST), (5, "20200102T060000")):
        np.testing.assert_array_equal(masked(read(rasters, f"era5/t2m/{name}")), expected[step])
    part = PixelGrid(9, 3, AffineTransform.north_up(3.5, 5.5, 1.0, 1.0), "EPSG:4326")
    found = masked(read(rasters, f"era5/t2m/{FIRST}", grid=part))
    np.testing.assert_array_equal(found, expected[0, 5:2:-1, 4:13])


def test_a_classic_file_that_ends_early(tmp_path: Path, serve: Serve) -> None:
    path = write(weather(), tmp_path, "cdf2")
    rasters = serve(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    assert rasters.catalogue.scan_again().images.keys() >= {f"{PREFIX}era5/t2m/times"}
    with pytest.raises(UnreadableRaster, match=r"era5\.nc: the file ends before its last values"):
        read(rasters, "era5/t2m/times")


def test_times_are_to_the_millisecond(tmp_path: Path, serve: Serve) -> None:
    dataset = weather(steps=3)
    days = np.arange(3) / 24
    told = {"units": "days since 2020-01-01", "calendar": "gregorian"}
    path = write(dataset.assign_coords(time=("time", days, told)), tmp_path, "cdf1")
    names = serve(path).catalogue.names(f"{PREFIX}era5/t2m")
    steps = [each.rpartition("/")[2] for each in names]
    assert steps == [FIRST, "20200101T010000", "20200101T020000"]


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(weather(steps=1), tmp_path / "deep", "nc")
    write(weather(steps=1), tmp_path, "zarr3")
    names = catalogue(tmp_path, formats=("netCDF", "Zarr")).names()
    assert set(names) == {
        f"{PREFIX}{each}"
        for file in ("deep/era5", "era5")
        for each in (f"{file}/lsm", f"{file}/t2m/{FIRST}")
    }


def test_a_file_that_is_written_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = write(weather(steps=1), tmp_path, "cdf2")
    file = CubeFile(Place(str(tmp_path), path.name), False, path.name)
    cube = file.cube("lsm")

    def written_and_read(selection: Any) -> Any:
        os.utime(path, (1, 1))
        return cube.stored.read(selection)

    meanwhile = replace(cube, stored=replace(cube.stored, read=written_and_read))
    with pytest.raises(AssetChanged):
        file.read(meanwhile, (slice(0, 2), slice(0, 2)))
