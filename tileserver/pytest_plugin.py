"""A pytest plugin: Earth Engine code tested offline, over a folder of GeoTIFFs.

    def test_ndvi(earth_engine):
        image = ee.Image("projects/localhost/assets/scene")
        assert image.bandNames().getInfo() == ["B4", "B8"]

The fixture `earth_engine` serves the rasters on a free port of this machine and initializes `ee` on
it, for the whole session. Which rasters: the ini option `earth_engine_rasters`, a folder or a
tileserver.toml, or the fixture of that name, overridden in a conftest.py; else the bundled demo.

Pytest loads this module in every session, so it imports nothing heavy before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INI = "earth_engine_rasters"
PROJECT = "localhost"


@dataclass(frozen=True)
class EarthEngineServer:
    """Where the server is, and as what it serves the rasters."""

    url: str
    """What `ee.Initialize(url=…)` was given."""
    project: str = PROJECT

    @property
    def assets(self) -> str:
        """What the names of the rasters of a folder begin with."""
        return f"projects/{self.project}/assets"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(INI, "folder of GeoTIFFs, or tileserver.toml, of the fixture earth_engine")


@pytest.fixture(scope="session")
def earth_engine_rasters(pytestconfig: pytest.Config) -> Path | None:
    """Return the folder of GeoTIFFs, or the tileserver.toml, to serve; None is the demo."""
    given = str(pytestconfig.getini(INI) or "")
    return pytestconfig.rootpath / given if given else None


@pytest.fixture(scope="session")
def earth_engine(earth_engine_rasters: Path | None) -> Iterator[EarthEngineServer]:
    """Serve rasters as Earth Engine does, with `ee` initialized on it."""
    try:
        import ee
        from google.auth.credentials import AnonymousCredentials
    except ImportError as exc:
        raise pytest.UsageError("earth_engine needs the package earthengine-api") from exc
    with _server(earth_engine_rasters) as url:
        try:
            anonymous: Any = AnonymousCredentials  # Its constructor has no types.
            ee.Initialize(anonymous(), url=url, project=PROJECT)
            yield EarthEngineServer(url)
        finally:
            ee.Reset()


def _server(rasters: Path | None) -> AbstractContextManager[str]:
    """Return a server of rasters that runs while inside; it gives its URL."""
    from tileserver.config.config import Config, load_config
    from tileserver.rasters.roots import Root
    from tileserver.server.app import create_app
    from tileserver.server.get_pixels import DEMO
    from tileserver.server.serving import served

    if rasters is not None and not rasters.exists():
        raise pytest.UsageError(f"{INI}: {rasters} does not exist")
    if rasters is None or rasters.suffix == ".toml":
        return served(create_app(load_config(rasters or DEMO, {}, {})))
    return served(create_app(Config(), [Root(str(rasters))]))
