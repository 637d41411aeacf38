from __future__ import annotations

import pickle
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, load_config
from tileserver.errors import ConfigError
from tileserver.layers.styles import Style
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app
from tileserver.server.definitions import catalogue_of, definitions_of


def config_of(folder: Path, toml: str, environ: Mapping[str, str] | None = None) -> Config:
    path = folder / "tileserver.toml"
    path.write_text(toml)
    return load_config(path, environ or {}, {})


def names(config: Config, *shown: Root) -> list[str]:
    return [each.name for each in definitions_of(config, catalogue_of(config, shown), shown)]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for name in ("a", "b"):
        write_raster(folder / f"{name}.tif", noise(1, 50, 60), overviews=())
    return folder


def test_without_configured_layers_every_raster_is_one(tmp_path: Path, scenes: Path) -> None:
    assert names(config_of(tmp_path, '[[rasters]]\npath = "scenes"')) == ["a", "b"]


def test_configured_layers_are_the_only_ones_unless_more_is_shown(
    tmp_path: Path, scenes: Path
) -> None:
    config = config_of(
        tmp_path,
        '[[rasters]]\npath = "scenes"\n[layers.mine]\nasset = "projects/localhost/assets/a"',
    )
    assert names(config) == ["mine"]
    assert names(config, Root(str(scenes / "b.tif"))) == ["b", "mine"]


def test_a_shown_raster_with_the_name_of_a_layer_gives_way(tmp_path: Path, scenes: Path) -> None:
    config = config_of(tmp_path, '[layers.a]\nasset = "projects/localhost/assets/b"')
    shown = Root(str(scenes / "a.tif"))
    definitions = definitions_of(config, catalogue_of(config, [shown]), [shown])
    assert [each.name for each in definitions] == ["projects/localhost/assets/a", "a"]


def test_a_layer_is_drawn_as_it_is_configured(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        """
        [layers.mine]
        title = "Mine"
        asset = "projects/localhost/assets/a"
        bands = ["b1"]
        min = 0
        max = 9
        palette = ["000", "red"]
        gamma = 2.0
        opacity = 0.5
        minzoom = 2
        maxzoom = 9
        visible = false
        """,
    )
    (layer,) = definitions_of(config, catalogue_of(config))
    assert layer.style == Style(("b1",), (0,), (9,), ("000000", "ff0000"), 2.0, 0.5)
    assert (layer.title, layer.minzoom, layer.maxzoom, layer.is_visible) == ("Mine", 2, 9, False)


def test_a_palette_that_is_none_is_told_with_its_layer(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, '[layers.mine]\nasset = "projects/localhost/assets/a"\npalette = "viridiss"'
    )
    with pytest.raises(ConfigError, match=r"\[layers.mine\] palette"):
        definitions_of(config, catalogue_of(config))


def test_access_rules_hold_for_assets_and_not_for_configured_layers(
    tmp_path: Path, scenes: Path
) -> None:
    config = config_of(
        tmp_path,
        """
        [[rasters]]
        path = "scenes"
        [access]
        assets = ["projects/localhost/assets/b"]
        [layers.mine]
        asset = "projects/localhost/assets/a"
        """,
    )
    with serve(create_app(config)) as url:
        for name, status in (
            ("mine", 200),
            ("projects/localhost/assets/a", 404),
            ("projects/localhost/assets/b", 200),
        ):
            assert (name, httpx.get(f"{url}/info/{name}", timeout=60).status_code) == (name, status)


def test_what_makes_the_application_goes_to_a_worker_process() -> None:
    made = partial(create_app, Config(), [Root("scene.tif")])
    assert pickle.loads(pickle.dumps(made)).args == made.args


def test_the_time_tiles_are_kept_is_told_to_clients(tmp_path: Path, scenes: Path) -> None:
    config = config_of(tmp_path, '[[rasters]]\npath = "scenes"\n[cache]\nttl = "90s"')
    with serve(create_app(config)) as url:
        response = httpx.get(f"{url}/tiles/a/0/0/0.png", timeout=60)
    assert "max-age=90," in response.headers["cache-control"]


def test_a_crash_of_ours_tells_its_request_id_and_nothing_else(scenes: Path) -> None:
    async def broken(request: Request) -> Response:
        raise RuntimeError("secret detail")

    app = create_app(Config(), [Root(str(scenes))])
    app.router.routes.insert(0, Route("/layers", broken))
    with serve(app) as url:
        response = httpx.get(f"{url}/layers", headers={"x-request-id": "find-me"}, timeout=60)
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
    assert response.status_code == 500
    assert "find-me" in response.text
    assert "secret" not in response.text
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-request-id"] == "find-me"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/legend/{layer}.svg",
        "/tiles/{layer}/0/0/0.png",
        "/tiles/{layer}/9",
        "/layers",
        "/nothing",
        "/v1/nothing",
        "/metrics",
        "/preview/none.png",
    ],
)
def test_what_a_browser_opens_and_is_no_page_runs_nothing(path: str) -> None:
    with (
        serve(create_app(load_config(None, {}, {}))) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        answer = client.get(path.format(layer="none"))
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in client.get("/").headers["content-security-policy"]
