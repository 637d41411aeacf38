"""Tiles of Earth Engine's assets are those of the same raster served from disk."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from pathlib import Path

import httpx
import mercantile
import numpy as np
import pytest
from PIL import Image

from tests.earth.asking import (
    LAYERS,
    OTHER,
    SCENE,
    TILE,
    Serve,
    get_all,
    pixels,
    serve_locally,
    view,
)
from tests.earth.conftest import Google
from tests.support.loopback import Answer, Exchange, fault
from tests.support.rasterfiles import noise, write_raster
from tests.support.standin import PREFIX, StandIn
from tests.support.waiting import until
from tileserver.config.config import AccessSettings, CacheSettings, Config, Server
from tileserver.contract.tiles import Tile
from tileserver.earthengine.tuning import Tuning

PICTURES = (".png", "@2x.png", ".webp", "@2x.webp", ".jpg")


@fault(0, "redder")
async def _redder(exchange: Exchange) -> Answer:
    """Answer a PNG that no encoder of ours would write, and that looks different."""
    answer = await exchange.honest()
    return replace(answer, body=redder(answer.body))


def redder(png: bytes) -> bytes:
    import io

    body = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    samples = np.asarray(picture).copy()
    samples[..., 0] = 255
    Image.fromarray(samples).save(body, "PNG", compress_level=3)
    return body.getvalue()


@pytest.mark.parametrize("suffix", [*PICTURES, ".npy", "@2x.npy", ".npz", "@2x.npz"])
def test_a_view_is_that_of_the_local_engine(
    serve_earth: Serve, engine: StandIn, folder: Path, suffix: str
) -> None:
    """Blocks within the disc, across its edge and outside of it."""
    paths = view("scene", 8, 132, 116, 8, 4, suffix)
    with serve_earth() as earth, serve_locally(folder) as local:
        ours, theirs = get_all(earth, paths), get_all(local, paths)
    assert 2 <= engine.pixel_requests <= 8
    for path, one, other in zip(paths, ours, theirs, strict=True):
        assert one.headers["content-type"] == other.headers["content-type"]
        assert np.array_equal(pixels(one), pixels(other)), path


@pytest.mark.parametrize("suffix", [*PICTURES, ".npy", ".npz"])
def test_a_tile_alone_is_that_of_the_local_engine_for_one_request(
    serve_earth: Serve, engine: StandIn, folder: Path, suffix: str
) -> None:
    path = f"/tiles/scene/8/134/118{suffix}"
    with serve_earth() as earth, serve_locally(folder) as local:
        ours = earth.get(path)
        assert engine.pixel_requests == 1
        assert np.array_equal(pixels(ours), pixels(local.get(path)))
        assert earth.get(path).headers["cache-status"] == "tileserver; hit"
    assert engine.pixel_requests == 1


@pytest.mark.parametrize(
    "query",
    ["bands=b2", "bands=b3,b1,b2&min=100&max=20000", "bands=b1&palette=000000,ff0000,ffff00"],
)
def test_styles_in_the_url_are_those_of_the_local_engine(
    serve_earth: Serve, folder: Path, query: str
) -> None:
    paths = [f"{path}?{query}" for path in view("scene", 8, 132, 116, 4, 4)]
    with serve_earth() as earth, serve_locally(folder) as local:
        for one, other in zip(get_all(earth, paths), get_all(local, paths), strict=True):
            assert np.array_equal(pixels(one), pixels(other))


def test_what_needs_no_cutting_passes_byte_for_byte(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth(SINGLE) as earth:
        honest = earth.get(TILE).content
        engine.inject("redder", times=None, only="getPixels")
        # Nothing but the version token differs, of which the pixels know nothing.
        sent = earth.get(f"{TILE}?opacity=1&gamma=1.0000001").content
    assert sent == redder(honest)


def test_outside_the_footprint_nothing_is_asked(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth() as earth:
        earth.get("/info/scene")
        engine.forget()
        paths = [*view("scene", 8, 0, 0, 6, 4), "/tiles/scene/8/0/0.webp"]
        paths += ["/tiles/scene/8/0/0.npy", "/tiles/scene/8/0/0.npz?bands=b3,b1"]
        for answer in get_all(earth, paths):
            assert not pixels(answer).view(np.uint8).any()
    assert engine.count() == 0


def test_an_error_of_the_url_asks_nothing(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth() as earth:
        earth.get("/info/scene")
        engine.forget()
        for wrong, status in (
            ("9/512/0.png", 404),
            ("8/1/1.gif", 404),
            ("8/134/118.png?min=x", 400),
        ):
            assert earth.get(f"/tiles/scene/{wrong}").status_code in (status, 400)
        assert earth.get(f"{TILE}?bands=B9").status_code == 400
    assert engine.count() == 0


def test_on_loopback_any_asset_is_a_layer_by_its_name(
    serve_earth: Serve, engine: StandIn, folder: Path
) -> None:
    path = f"/tiles/{PREFIX}/scene/8/134/118.png?bands=b1,b2,b3&min=0&max=60000"
    with serve_earth() as earth, serve_locally(folder) as local:
        assert np.array_equal(pixels(earth.get(path)), pixels(local.get(path)))
        missing = earth.get(f"/tiles/{PREFIX}/nothing/8/134/118.png")
        assert missing.status_code == 404
        asked = engine.count()
        assert earth.get(f"/tiles/{PREFIX}/nothing/8/134/119.png").status_code == 404
    assert engine.count() == asked


@pytest.mark.parametrize(
    "config",
    [
        Config(layers=LAYERS, access=AccessSettings(assets=(f"{PREFIX}/other/**",))),
        Config(layers=LAYERS, server=Server(host="0.0.0.0")),
        Config(layers=LAYERS, server=Server(host="0.0.0.0"), access=AccessSettings(assets=())),
    ],
)
def test_an_asset_that_is_forbidden_is_not_found_and_not_asked_for(
    serve_earth: Serve, engine: StandIn, config: Config
) -> None:
    with serve_earth(config=config) as earth:
        assert earth.get(f"/tiles/{PREFIX}/scene/8/134/118.png").status_code == 404
        assert earth.get(f"/info/{PREFIX}/scene").status_code == 404
        assert engine.count() == 0
        assert earth.get(TILE).status_code == 200


def test_an_asset_that_access_names_is_a_layer_wherever_the_server_is_bound(
    serve_earth: Serve,
) -> None:
    access = AccessSettings(assets=(f"{PREFIX}/sc*",))
    config = Config(layers=(SCENE,), server=Server(host="0.0.0.0"), access=access)
    with serve_earth(config=config) as earth:
        assert earth.get(f"/tiles/{PREFIX}/scene/8/134/118.png").status_code == 200
        assert earth.get(f"/tiles/{PREFIX}/smooth/8/134/118.png").status_code == 404


def template(client: httpx.Client, layer: str = "scene") -> str:
    (found,) = (each for each in client.get("/layers").json()["layers"] if each["name"] == layer)
    return str(found["tiles"])


def test_an_asset_that_changes_gets_a_new_version_and_new_tiles(
    google: Google, tmp_path: Path
) -> None:
    x, y = 134, 118
    west, south, east, north = mercantile.bounds(Tile(x, y, 8))
    from rasterio import Affine

    place = Affine((east - west) / 64, 0, west, 0, (south - north) / 64, north)
    write_raster(tmp_path / "scene.tif", noise(3, 64, 64), "EPSG:4326", place, overviews=())
    with (
        StandIn(tmp_path, accepts=google.tokens.accepts) as engine,
        Serve(engine.url, [])(Tuning(poll_s=0.1), Config(layers=(SCENE,))) as earth,
    ):
        old = template(earth)
        before = earth.get(old.format(z=8, x=x, y=y))
        assert before.headers["cache-control"].endswith("immutable")
        write_raster(
            tmp_path / "scene.tif", noise(3, 64, 64, seed=1), "EPSG:4326", place, overviews=()
        )
        later_s = time.time() + 60
        os.utime(tmp_path / "scene.tif", (later_s, later_s))
        until(lambda: template(earth) != old)
        after = earth.get(template(earth).format(z=8, x=x, y=y))
        assert not np.array_equal(pixels(before), pixels(after))
        assert after.headers["cache-control"].endswith("immutable")
        # Who still has the old address gets what there is now, and not for ever.
        again = earth.get(old.format(z=8, x=x, y=y))
        assert again.content == after.content
        assert "immutable" not in again.headers["cache-control"]


def test_metadata_is_looked_at_seldom(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth() as earth:
        get_all(earth, view("scene", 8, 132, 116, 4, 4) * 5)
        earth.get("/layers")
    assert engine.count("getAsset") == len(LAYERS)


SINGLE = Tuning(tiles_per_side=1)
SHORT = Config(layers=LAYERS, cache=CacheSettings(ttl_s=0.3))


def test_a_tile_that_has_expired_is_served_while_it_is_fetched_again(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth(SINGLE, config=SHORT) as earth:
        old = earth.get(TILE).content
        time.sleep(0.35)
        engine.inject("redder", times=None, only="getPixels")
        # Answered while the new one is still under way, which is asked for once.
        engine.waits_for = math.inf
        for _ in range(3):
            stale = earth.get(TILE)
            assert (stale.content, stale.headers["cache-status"]) == (old, "tileserver; hit")
        until(lambda: engine.in_flight)
        assert engine.pixel_requests == 2
        engine.waits_for = 0
        until(lambda: earth.get(TILE).content == redder(old))


@pytest.mark.parametrize("trouble", ["status_503", "not_found", "reset_mid_body", "daily_quota"])
def test_a_tile_that_has_expired_is_served_on_while_earth_engine_fails(
    serve_earth: Serve, engine: StandIn, trouble: str
) -> None:
    with serve_earth(config=SHORT) as earth:
        old = earth.get(TILE).content
        time.sleep(0.35)
        engine.inject(trouble, times=None)
        for _ in range(5):
            answer = earth.get(TILE)
            assert (answer.status_code, answer.content) == (200, old)
            time.sleep(0.1)
        assert earth.get(OTHER).status_code != 200


@pytest.mark.parametrize(("side", "sizes"), [(1, [256] * 16), (2, [512] * 4), (None, [1024])])
def test_a_layer_is_asked_in_blocks_of_its_own_size(
    serve_earth: Serve, engine: StandIn, side: int | None, sizes: list[int]
) -> None:
    layer = replace(SCENE, tiles_per_side=side)
    with serve_earth(config=Config(layers=(layer,))) as earth:
        answers = get_all(earth, view("scene", 8, 132, 116, 4, 4))
    assert {each.status_code for each in answers} == {200}
    assert sides_asked(engine) == sizes


def test_two_layers_of_one_asset_have_blocks_of_their_own_sizes(
    serve_earth: Serve, engine: StandIn
) -> None:
    one = replace(SCENE, name="one", tiles_per_side=1)
    two = replace(SCENE, name="two", tiles_per_side=2, gamma=1.5)
    with serve_earth(config=Config(layers=(one, two))) as earth:
        for name in ("one", "two"):
            get_all(earth, view(name, 8, 132, 116, 2, 2))
    assert sides_asked(engine) == [256] * 4 + [512]


def sides_asked(engine: StandIn) -> list[int]:
    """Return the widths of the pictures asked for, in pixels; all are square."""
    sizes = [each.json()["grid"]["dimensions"] for each in engine.seen if each.kind == "getPixels"]
    assert all(size["width"] == size["height"] for size in sizes)
    return [size["width"] for size in sizes]
