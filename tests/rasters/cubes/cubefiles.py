"""Files of NetCDF and Zarr stores as xarray writes them, and a catalogue over such."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tileserver.config.config import Config, RasterFolder
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.server.definitions import catalogue_of

for library in ("h5py", "h5netcdf", "netCDF4", "zarr", "cftime", "xarray"):
    pytest.importorskip(library, reason=f"the extra netcdf is not installed: no {library}")

import xarray as xr  # noqa: E402

PREFIX = "projects/localhost/assets/"
CLASSIC = {
    "cdf1": "NETCDF3_CLASSIC",
    "cdf2": "NETCDF3_64BIT_OFFSET",
    "cdf5": "NETCDF3_64BIT_DATA",
}
KINDS = ("nc", *CLASSIC, "zarr2", "zarr3")
STEPS = 12
FORMATS = {"nc": "netCDF", "zarr": "Zarr"}


def weather(
    lat: NDArray[Any] | None = None, lon: NDArray[Any] | None = None, steps: int = STEPS
) -> xr.Dataset:
    """Return temperatures of some days, with holes, and a mask of land, which has no time."""
    lat = np.arange(60, 29.9, -1.0) if lat is None else lat
    lon = np.arange(0, 360, 1.0) if lon is None else lon
    rng = np.random.default_rng(5)
    values = (280 + 10 * rng.random((steps, len(lat), len(lon)))).astype("f4")
    values[:, 3:6, 3:6] = np.nan
    land = (rng.random((len(lat), len(lon))) > 0.5).astype("i2")
    start = np.datetime64("2020-01-01T00:00:00", "ns")
    return xr.Dataset(
        {
            "t2m": (("time", "lat", "lon"), values, {"units": "K", "long_name": "temperature"}),
            "lsm": (("lat", "lon"), land),
        },
        coords={
            "time": start + np.arange(steps) * np.timedelta64(6, "h"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )


def write(dataset: xr.Dataset, folder: Path, kind: str, **encoding: Any) -> Path:
    """Write a dataset as "era5" and return its path."""
    if kind == "nc":
        path = folder / "era5.nc"
        dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
        return path
    if kind in CLASSIC:
        write_classic(dataset, folder / "era5.nc", CLASSIC[kind], encoding)
        return folder / "era5.nc"
    path = folder / "era5.zarr"
    dataset.to_zarr(
        path, mode="w", zarr_format=int(kind[-1]), encoding=encoding, consolidated=False
    )
    return path


def write_classic(
    dataset: xr.Dataset, path: Path, file_format: Any, encoding: Any, unlimited: str | None = "time"
) -> None:
    """Write a classic file with the C library, whose steps of time are records."""
    dataset.to_netcdf(
        path,
        engine="netcdf4",
        format=file_format,
        encoding=encoding,
        unlimited_dims=[unlimited] if unlimited else None,
    )


def as_xarray(path: Path, tmp_path: Path) -> xr.Dataset:
    """Return a file as xarray decodes it, from a copy: HDF5 shares a file that is open twice."""
    copy = tmp_path / f"oracle{path.suffix}"
    if path.is_dir():
        shutil.copytree(path, copy, dirs_exist_ok=True)
        found: xr.Dataset = xr.open_zarr(copy, consolidated=False).load()
        return found
    shutil.copy(path, copy)
    is_classic = path.read_bytes()[:3] == b"CDF"
    engine: Any = "netcdf4" if is_classic else "h5netcdf"
    with xr.open_dataset(copy, engine=engine) as opened:
        found = opened.load()
    return found


def config(path: Path, **settings: Any) -> Config:
    """Return a configuration that serves a file."""
    formats = (FORMATS.get(path.suffix[1:], "netCDF"),)
    return Config(rasters=(RasterFolder(path=str(path), **{"formats": formats, **settings}),))


def catalogue(path: Path, **settings: Any) -> Catalogue:
    """Return the assets of a file."""
    return catalogue_of(config(path, **settings))


def read(rasters: LocalRasters, name: str, **members: Any) -> BandArrays:
    """Return the pixels of an asset, on its native grid unless another is given."""
    return rasters.bands(PixelRequest(f"{PREFIX}{name}", ImageFileFormat.NPY, **members))


def masked(bands: BandArrays) -> NDArray[Any]:
    """Return the values of the first band, NaN where they are masked."""
    values: NDArray[Any] = np.where(bands.valid, bands.values.astype(np.float64), np.nan)[0]
    return values
