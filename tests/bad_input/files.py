"""Files that must be left out, that are broken, or that are merely odd: tables of makers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from tests.bad_input.tiffs import write_header
from tests.support.rasterfiles import noise, ramp, write_raster

Make = Callable[[Path], object]
PREFIX = "projects/localhost/assets"
WGS84 = "EPSG:4326"


def sound(path: Path) -> Path:
    return write_raster(path, noise(1, 64, 64, "uint8"))


def raster(count: int, side: int, dtype: str, **options: Any) -> Make:
    """Return a maker of a raster of noise, without overviews."""
    values = noise(count, side, side, "float32" if dtype.startswith("complex") else dtype)
    return lambda path: write_raster(path, values.astype(dtype), overviews=(), **options)


def of_bytes(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


def with_sidecar(text: str | bytes) -> Make:
    def make(path: Path) -> None:
        sound(path)
        content = text.encode() if isinstance(text, str) else text
        path.with_suffix(".json").write_bytes(content)

    return make


def header(width: int, height: int, **tags: int) -> Make:
    return lambda path: write_header(path, width, height, **tags)


def png(path: Path) -> None:
    Image.new("RGB", (9, 9)).save(path, format="PNG")


def truncated(path: Path) -> None:
    sound(path)
    os.truncate(path, 200)


def damaged(path: Path) -> None:
    """Write a raster whose header is whole and whose pixels, in the middle, are not."""
    write_raster(path, noise(1, 1024, 1024, "uint8"), overviews=())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60_000] = bytes(60_000)
    path.write_bytes(content)


def damaged_text(path: Path) -> None:
    """Write a raster whose band is described in bytes that are no UTF-8."""
    sound(path)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("QQQQQQQQ",)
    path.write_bytes(path.read_bytes().replace(b"QQQQQQQQ", b"\xff\xfe\xc3(\xa0\xa1\x80\x81"))


def two_ends(path: Path) -> None:
    """Write a raster between whose percentiles there is more than a float can hold."""
    values = np.full((1, 50, 50), -np.finfo("f8").max)
    values[0, :1] = np.finfo("f8").max
    write_raster(path, values, overviews=())


def alpha_alone(path: Path) -> None:
    sound(path)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.alpha]


def colored(path: Path) -> None:
    raster(1, 64, "uint8")(path)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (i, 0, 255 - i, 255) for i in range(256)})


def beside_a_fifo(path: Path) -> None:
    """Write a raster with a fifo in the place of its sidecar."""
    sound(path)
    os.mkfifo(path.with_suffix(".json"))


def renamed(path: Path) -> None:
    """Write a raster under a name that rasterio cannot spell."""
    sound(path.with_name("renamed")).rename(path)


def folder_of_one(path: Path) -> None:
    """Make a folder with a raster in it."""
    path.mkdir()
    sound(path / "inside.tif")


def vrt(path: Path) -> None:
    """Write a VRT of a raster that is outside, under the name of a GeoTIFF."""
    source = path.parent.parent / "outside" / "secret.tif"
    path.write_text(
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{source}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )


def points_at(*places: tuple[float, float, float, float]) -> Make:
    """Return a function that writes a raster with control points at (row, column, lon, lat)."""

    def make(path: Path) -> None:
        points = [GroundControlPoint(*place) for place in places]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(
                path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8"
            ) as dataset:
                dataset.gcps = (points, WGS84)
                dataset.write(noise(1, 64, 64, "uint8"))

    return make


control_points = points_at(
    (0, 0, -122, 38), (0, 64, -121.9, 38), (64, 0, -122, 37.9), (64, 64, -121.9, 37.9)
)
NOT_TIFF = "not a readable GeoTIFF"
DAMAGED = "the GeoTIFF is damaged or out of reach"
NOWHERE = (
    "outside the domain of its CRS",
    "expected a place on Earth",
    "gdal_edit.py writes the right CRS (-a_srs) or corners (-a_ullr)",
)
NOT_JSON = ".json sidecar is not JSON"
BLOCKS = ("blocks hold", "at most 68 MB may be; gdal_translate -co TILED=YES")

BROKEN: dict[str, tuple[Make, tuple[str, ...]]] = {
    "truncated": (truncated, (NOT_TIFF,)),
    "empty": (of_bytes(b""), (NOT_TIFF,)),
    "text": (of_bytes(b"hello"), (NOT_TIFF,)),
    "png": (png, (NOT_TIFF,)),
    "hdf5": (of_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000)), (NOT_TIFF,)),
    "netcdf": (of_bytes(b"CDF\x01" + bytes(1000)), (NOT_TIFF,)),
    "gzip": (of_bytes(b"\x1f\x8b\x08" + bytes(1000)), (NOT_TIFF,)),
    "vrt": (vrt, (NOT_TIFF,)),
    "xml": (of_bytes(b"<GDAL_WMS><Service name='TMS'/></GDAL_WMS>"), (NOT_TIFF,)),
    "cycle": (of_bytes(b"II*\0\x08\0\0\0\0\0\x08\0\0\0"), (NOT_TIFF,)),
    "damaged": (damaged, (DAMAGED,)),
    "not-text": (damaged_text, ("its metadata is not UTF-8",)),
    "far-away": (raster(1, 64, "uint8", transform=Affine(30, 0, 9e9, 0, -30, 9e9)), NOWHERE),
    "many-points": (
        points_at(*[(i % 64, i // 64, i % 64, i / 640) for i in range(10_001)]),
        ("10001 ground control points, at most 10000",),
    ),
    "alpha-alone": (alpha_alone, ("no band beside its alpha band",)),
    "no-pixels": (header(0, 0), (NOT_TIFF,)),
    "promises": (header(1000, 1000), (DAMAGED,)),
    "bomb-strip": (header(2**31 - 1, 2**31 - 1), BLOCKS),
    "bomb-smaller-strip": (header(100_000, 100_000), (DAMAGED,)),
    "bomb-bands": (
        header(1, 1, t277=65535, t284=2),
        ("have 65535 bands in all, at most 20000 may be", "gdal_translate -b"),
    ),
    "bomb-tile": (header(1000, 1000, t322=1 << 20, t323=1 << 20, t324=8, t325=100), BLOCKS),
    "sidecar-broken": (with_sidecar("{"), (NOT_JSON,)),
    "sidecar-empty": (with_sidecar(""), (NOT_JSON,)),
    "sidecar-list": (with_sidecar("[]"), ("sidecar must be a JSON object",)),
    "sidecar-endless": (with_sidecar("[" * 100_000), (NOT_JSON,)),
    "sidecar-deep": (
        with_sidecar('{"properties":{"a":' + "[" * 900 + "]" * 900 + "}}"),
        (NOT_JSON, "nested more than 20 deep"),
    ),
    "sidecar-nan": (with_sidecar('{"properties":{"a":NaN}}'), (NOT_JSON,)),
    "sidecar-infinite": (with_sidecar('{"properties":{"a":1e999}}'), (NOT_JSON,)),
    "sidecar-surrogate": (with_sidecar('{"properties":{"a":"\\ud800"}}'), (NOT_JSON,)),
    "sidecar-digits": (with_sidecar(f'{{"properties":{{"a":{"9" * 5000}}}}}'), (NOT_JSON,)),
    "sidecar-latin1": (with_sidecar(b'{"a":"\xff"}'), ("sidecar cannot be read as UTF-8",)),
    "sidecar-kind": (with_sidecar('{"bands":1}'), ("bands", "sidecar must be a list")),
    "sidecar-time": (with_sidecar('{"startTime":5}'), ("startTime", "sidecar must be a str")),
    "sidecar-count": (
        with_sidecar('{"bands":[{"id":"a"},{"id":"b"}]}'),
        ("must give the GeoTIFF's 1 bands an id each",),
    ),
    "sidecar-id": (
        with_sidecar('{"bands":[{"id":"a b"}]}'),
        ("band id 'a b'", "letters, digits and _.- only"),
    ),
}
ODD: dict[str, Make] = {
    "no-crs": raster(1, 64, "uint8", crs=None),
    "control-points": control_points,
    "mars": raster(1, 64, "uint8", crs="+proj=longlat +R=3396190"),
    "local-crs": raster(1, 64, "uint8", crs='LOCAL_CS["x",UNIT["metre",1]]'),
    "geocentric": raster(1, 64, "uint8", crs="EPSG:4978"),
    "identity": raster(1, 64, "uint8", transform=Affine.identity()),
    "flat": raster(1, 64, "uint8", transform=Affine(30, 0, 0, 30, 0, 0)),
    "nan-place": raster(1, 64, "uint8", transform=Affine(np.nan, 0, 0, 0, -1, 0)),
    "huge-place": raster(1, 64, "uint8", transform=Affine(1e300, 0, 0, 0, -1e300, 0)),
    "tiny-place": raster(1, 64, "uint8", transform=Affine(1e-300, 0, 0, 0, -1e-300, 0)),
    "thin-place": raster(1, 64, "uint8", transform=Affine(1e-307, 0, 4e5, 0, -30, 4_500_000)),
    "nan-origin": raster(1, 64, "uint8", transform=Affine(30, 0, np.nan, 0, -30, 4_500_000)),
    "infinite-origin": raster(1, 64, "uint8", transform=Affine(30, 0, np.inf, 0, -30, 4_500_000)),
    "complex": raster(1, 64, "complex64"),
    "complex-double": raster(1, 64, "complex128"),
    "rotated": raster(
        1,
        64,
        "uint8",
        transform=Affine(26, 15, 400_000, 15, -26, 4_500_000),
    ),
    "south-up": raster(1, 64, "uint8", transform=Affine(30, 0, 400_000, 0, 30, 4_400_000)),
    "nan-nodata": lambda path: write_raster(
        path, np.where(ramp(64, 64) < 9, np.nan, ramp(64, 64)), nodata=np.nan
    ),
    "all-nan": lambda path: write_raster(path, np.full((1, 64, 64), np.nan, np.float32)),
    "all-infinite": lambda path: write_raster(path, np.full((1, 64, 64), np.inf, np.float32)),
    "all-nodata": lambda path: write_raster(path, np.zeros((1, 64, 64), np.uint8), nodata=0),
    "largest-floats": lambda path: write_raster(
        path, np.sign(noise(1, 64, 64, "float64")) * np.finfo("f8").max, overviews=()
    ),
    "int8": raster(1, 64, "int8"),
    "int64": raster(1, 64, "int64"),
    "uint64": raster(1, 64, "uint64"),
    "float64": raster(1, 64, "float64"),
    "float16": raster(1, 64, "float32", nbits=16),
    "one-bit": lambda path: write_raster(path, noise(1, 64, 64, "uint8") & 1, nbits=1),
    "palette": colored,
    "palette-without-table": raster(1, 64, "uint8", photometric="palette"),
    "palette-of-16-bits": raster(1, 64, "uint16", photometric="palette"),
    "two-ends": two_ends,
    "jpeg-of-12-bits": lambda path: write_raster(
        path, noise(1, 64, 64, "uint16") & 4095, compress="JPEG", nbits=12, zlevel=None
    ),
    "one-pixel": raster(1, 1, "uint8"),
    "one-column": lambda path: write_raster(path, noise(1, 300, 1, "uint8"), overviews=()),
    "strips": raster(3, 64, "uint8", tiled=False),
    "bands-1000": raster(1000, 2, "uint8"),
    "subpixel": raster(1, 2, "uint8", crs=WGS84, transform=Affine(1e-9, 0, 10, 0, -1e-9, 10)),
    "sidecar-fifo": beside_a_fifo,
}
NAMES = [
    "GTIFF_DIR:1:a",
    "GTIFF_RAW:x",
    "zip:x",
    "vsizip!x",
    "ünïcödé",
    "e\u0301",
    "日本",
    "a b",
    " leading",
    "100%",
    "%2e%2e",
    "%2f",
    "%00",
    "ha#sh",
    "what?",
    "quo'te",
    'quo"te',
    "back\\slash",
    "semi;colon",
    "am&p",
    "pl+us",
    "com,ma",
    "equals=",
    "{z}",
    "a:getPixels",
    "a@2x",
    "<b>",
    "*",
    "~",
    "-o",
    "x.tif",
    "x.png",
    "0/0/0",
    "vsimem/x",
    "a" * 200,
]
LEFT_OUT: dict[str, Make] = {
    "link-out.tif": lambda path: path.symlink_to(path.parent.parent / "outside" / "secret.tif"),
    "link-folder": lambda path: path.symlink_to(path.parent.parent / "outside"),
    "link-up.tif": lambda path: path.symlink_to("../outside/secret.tif"),
    "link-nowhere.tif": lambda path: path.symlink_to("nothing.tif"),
    "link-to-itself.tif": lambda path: path.symlink_to(path.name),
    "device.tif": lambda path: path.symlink_to("/dev/zero"),
    "fifo.tif": lambda path: os.mkfifo(path),
    "folder.tif": lambda path: path.mkdir(),
    "picture.vrt": vrt,
    "picture.png": png,
    "notes.tif.txt": of_bytes(b"hello"),
    ".hidden.tif": sound,
    ".hidden": folder_of_one,
    "line\nbreak.tif": sound,
    "tab\t.tif": sound,
    "\u202ertl.tif": sound,
    "zero\u200bwidth.tif": sound,
    "trailing .tif": sound,
    os.fsdecode(b"latin1-\xff.tif"): renamed,
}
