"""What sources say beside their pixels, before and after `ingest`, as rasterio reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter
from rasterio.rpc import RPC
from rasterio.transform import Affine

from tests.support.rasterfiles import UTAH, noise, write_raster
from tileserver.errors import InvalidRequest
from tileserver.ingest.ingest import ingest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.server.cli import main

POINTS = [
    GroundControlPoint(0.0, 0.0, -122.0, 38.0, 12.0),
    GroundControlPoint(0.0, 400.0, -121.9, 38.0, 13.5),
    GroundControlPoint(300.0, 0.0, -122.0, 37.9, 0.0),
    GroundControlPoint(300.5, 400.25, -121.9, 37.9, 1.0),
]


def source(
    path: Path,
    change: Callable[[DatasetWriter], object] | None = None,
    count: int = 2,
    dtype: str = "int16",
    **profile: Any,
) -> Path:
    write_raster(path, noise(count, 300, 400, dtype), overviews=(), **profile)
    if change is not None:
        with rasterio.open(path, "r+") as dataset:
            change(dataset)
    return path


def set_all(**members: Any) -> Callable[[DatasetWriter], None]:
    def change(dataset: DatasetWriter) -> None:
        for name, value in members.items():
            setattr(dataset, name, value)

    return change


def tags(path: Path, index: int = 0, domain: str | None = None) -> dict[str, str]:
    with rasterio.open(path) as dataset:
        found: dict[str, str] = dataset.tags(index, ns=domain)
        return found


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("scales", (0.0001, 2.5)),
        ("offsets", (-0.2, 273.15)),
        ("units", ("metre", "K")),
        ("descriptions", ("near infrared, B8", "Größe")),
        ("colorinterp", (ColorInterp.nir, ColorInterp.rededge)),
        ("colorinterp", (ColorInterp.sar_ka, ColorInterp.undefined)),
        ("colorinterp", (ColorInterp.blue, ColorInterp.red)),
    ],
)
def test_what_a_band_says_is_kept(tmp_path: Path, member: str, value: tuple[Any, ...]) -> None:
    path = source(tmp_path / "in.tif", set_all(**{member: value}))
    result = ingest([path], tmp_path / "out.tif")
    with rasterio.open(path) as before, rasterio.open(result.path) as after:
        assert getattr(before, member) == value
        assert getattr(after, member) == value
        assert np.array_equal(after.read(), before.read())
    assert result.lost == ()


def test_tags_are_kept_and_those_of_other_domains_are_named(tmp_path: Path) -> None:
    def change(dataset: DatasetWriter) -> None:
        dataset.update_tags(TIFFTAG_DATETIME="2024:05:08 18:33:02", owner="Ä & <b>")
        dataset.update_tags(ns="MINE", a="1")
        dataset.update_tags(1, wavelength="0.48", STATISTICS_MINIMUM="3")
        dataset.update_tags(2, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.56")

    path = source(tmp_path / "in.tif", change)
    result = ingest([path], tmp_path / "out.tif")
    for index in (0, 1, 2):
        kept = tags(result.path, index)
        kept.pop("OVR_RESAMPLING_ALG", None)
        assert kept == tags(path, index)
    assert tags(result.path)["TIFFTAG_DATETIME"] == "2024:05:08 18:33:02"
    # GDAL writes IMAGERY, and no other domain of a VRT.
    assert result.lost == ("tag MINE:a",)
    catalogue = Catalogue([Root(str(tmp_path))])
    asset = catalogue.find("projects/localhost/assets/out").asset
    assert [band.notes.wavelength_um for band in asset.bands] == [0.48, 0.56]


def test_coefficients_of_a_camera_are_kept(tmp_path: Path) -> None:
    numbers = [float(each) / 7 for each in range(20)]
    camera = RPC(
        height_off=100.5, height_scale=500.0, lat_off=38.1, lat_scale=0.1, line_off=150.0,
        line_scale=150.0, long_off=-122.0, long_scale=0.1, samp_off=200.0, samp_scale=200.0,
        line_num_coeff=numbers, line_den_coeff=numbers[::-1], samp_num_coeff=numbers,
        samp_den_coeff=numbers[::-1], err_bias=0.5, err_rand=0.25,
    )  # fmt: skip
    path = source(tmp_path / "in.tif", set_all(rpcs=camera))
    result = ingest([path], tmp_path / "out.tif")
    with rasterio.open(path) as before, rasterio.open(result.path) as after:
        assert before.rpcs is not None
        assert after.rpcs.to_gdal() == before.rpcs.to_gdal()
    assert result.lost == ()


@pytest.mark.parametrize("kind", ["Area", "Point"])
def test_pixels_stay_areas_or_points_in_their_places(tmp_path: Path, kind: str) -> None:
    path = source(tmp_path / "in.tif", lambda dataset: dataset.update_tags(AREA_OR_POINT=kind))
    result = ingest([path], tmp_path / "out.tif")
    with rasterio.open(path) as before, rasterio.open(result.path) as after:
        assert after.tags()["AREA_OR_POINT"] == kind
        assert after.transform == before.transform
        assert after.crs == before.crs


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_table_of_colours_is_kept_with_its_opacity(tmp_path: Path, dtype: str) -> None:
    colors = {1: (10, 20, 30, 255), 7: (250, 128, 0, 99), 200: (1, 2, 3, 0)}
    path = source(tmp_path / "in.tif", lambda dataset: dataset.write_colormap(1, colors), 1, dtype)
    result = ingest([path], tmp_path / "out.tif")
    with rasterio.open(path) as before, rasterio.open(result.path) as after:
        assert after.colorinterp == (ColorInterp.palette,)
        assert after.colormap(1) == before.colormap(1)
    assert result.lost == ()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    profile = {"driver": "GTiff", "width": 400, "height": 300, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(noise(1, 300, 400, "uint8"))
        dataset.gcps = (POINTS, "EPSG:4326")
    result = ingest([path], tmp_path / "out.tif")
    with rasterio.open(path) as before, rasterio.open(result.path) as after:
        assert after.crs is None
        assert after.gcps[1] == before.gcps[1]
        places = [
            [(each.row, each.col, each.x, each.y, each.z) for each in dataset.gcps[0]]
            for dataset in (before, after)
        ]
        assert places[1] == pytest.approx(np.array(places[0]))
        assert np.array_equal(after.read(), before.read())
        assert after.overviews(1)
    assert result.lost == ()


def test_times_properties_and_names_of_a_sidecar_are_kept(tmp_path: Path) -> None:
    path = source(tmp_path / "in.tif")
    members = {
        "bands": [{"id": "red", "eo:common_name": "red"}, {"id": "qa", "pyramidingPolicy": "MODE"}],
        "startTime": "2024-05-08T18:33:02Z",
        "endTime": "2024-05-08T20:33:02+02:00",
        "properties": {"CLOUD_COVER": 3.5, "b": [1, {"c": None}]},
    }
    path.with_suffix(".json").write_text(json.dumps(members))
    result = ingest([path], tmp_path / "out.tif", properties={"more": 1})
    assert result.band_ids == ("red", "qa")
    made = json.loads(result.sidecar.read_text())
    assert made["bands"] == [
        {"id": "red", "eo:common_name": "red", "pyramidingPolicy": "MEAN"},
        {"id": "qa", "pyramidingPolicy": "MODE"},
    ]
    assert (made["startTime"], made["endTime"]) == ("2024-05-08T18:33:02Z", "2024-05-08T18:33:02Z")
    assert made["properties"] == {"CLOUD_COVER": 3.5, "b": [1, {"c": None}], "more": 1}
    assert result.lost == ()
    catalogue = Catalogue([Root(str(tmp_path))])
    before, after = (catalogue.find(f"projects/localhost/assets/{n}").asset for n in ("in", "out"))
    assert after.band_ids == before.band_ids
    assert dict(after.properties) == {**before.properties, "more": 1}
    told = ingest([path], tmp_path / "b.tif", band_ids=["x", "y"], start_time="2020-01-01")
    made = json.loads(told.sidecar.read_text())
    assert ([each["id"] for each in made["bands"]], made["startTime"][:4]) == (["x", "y"], "2020")


def test_what_several_sources_share_is_kept_and_the_rest_is_named(tmp_path: Path) -> None:
    paths = []
    for number in range(2):
        path = tmp_path / f"{number}.tif"
        write_raster(
            path, noise(1, 300, 400, "uint8"), overviews=(), descriptions=["height"],
            transform=UTAH @ Affine.translation(400 * number, 0),
        )  # fmt: skip
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(
                owner="me", scene=str(number), TIFFTAG_DATETIME="2024:01:01 00:00:0"
            )
            dataset.update_tags(1, STATISTICS_MEAN="4", kind="dem")
            dataset.units = ["metre"]
        sidecar = {
            "startTime": f"2024-05-0{number + 1}T00:00:00Z",
            "endTime": f"2024-05-0{number + 2}T00:00:00Z",
            "properties": {"a": 1, "tile": number},
            "title": "x",
        }
        path.with_suffix(".json").write_text(json.dumps(sidecar))
        paths.append(path)
    result = ingest(paths, tmp_path / "out.tif")
    assert tags(result.path)["owner"] == "me"
    assert "scene" not in tags(result.path)
    assert tags(result.path, 1) == {"kind": "dem"}
    made = json.loads(result.sidecar.read_text())
    assert made["startTime"] == "2024-05-01T00:00:00Z"
    assert made["endTime"] == "2024-05-03T00:00:00Z"
    assert made["properties"] == {"a": 1}
    assert sorted(result.lost) == [
        "member 'title' of 0.json",
        "member 'title' of 1.json",
        "property tile, as it differs between sources",
        "tag scene, as it differs between sources",
    ]


@pytest.mark.parametrize(
    ("member", "values"),
    [("scales", ((1.0,), (0.1,))), ("offsets", ((0.0,), (5.0,))), ("units", (("m",), ("ft",)))],
)
def test_values_on_different_scales_do_not_become_one_band(
    tmp_path: Path, member: str, values: tuple[Any, Any]
) -> None:
    paths = [
        source(
            tmp_path / f"{number}.tif", set_all(**{member: value}), 1,
            transform=UTAH @ Affine.translation(400 * number, 0),
        )
        for number, value in enumerate(values)
    ]  # fmt: skip
    with pytest.raises(InvalidRequest, match=f"band b1 has another {member[:-1]} in each source"):
        ingest(paths, tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()
    # Stacked, each is a band of its own.
    for number, path in enumerate(paths):
        source(path, set_all(**{member: values[number]}), 1)
    with rasterio.open(ingest(paths, tmp_path / "out.tif").path) as dataset:
        assert getattr(dataset, member) == (*values[0], *values[1])


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    def change(dataset: DatasetWriter) -> None:
        dataset.write_colormap(1, {1: (1, 2, 3, 255)})

    table = source(tmp_path / "table.tif", change, 1, "uint8", descriptions=["land cover"])
    other = source(tmp_path / "other.tif", None, 1, "int32")
    (tmp_path / "other.json").write_text("[1, 2]")
    arguments = ["ingest", table, other, tmp_path / "out.tif", "--bands", "class,z"]
    ended = CliRunner().invoke(main, [str(each) for each in arguments])
    assert ended.exit_code == 0, ended.stderr
    (line,) = [each for each in ended.stdout.splitlines() if each.startswith("not kept: ")]
    assert "colour table of band class, as pixels of type int32 have none" in line
    assert "description 'land cover' of band class, which the id replaces" in line
    assert "the file other.json, which is no sidecar" in line


def test_nothing_is_named_when_nothing_is_lost(tmp_path: Path) -> None:
    path = source(tmp_path / "in.tif")
    ended = CliRunner().invoke(main, ["ingest", str(path), str(tmp_path / "out.tif")])
    assert "not kept" not in ended.stdout
