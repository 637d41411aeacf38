"""Set-up: a server on a real socket, over rasters with known values, and clients on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from tests.clients.rasters import LOCAL, PUBLIC, write_all
from tests.support.qgis import SYSTEM_PYTHON, has_qgis
from tests.support.serving import serve
from tileserver.config.config import ApiSettings, Config, RasterFolder
from tileserver.server.app import create_app


class Served(NamedTuple):
    """A server, and what it serves."""

    url: str
    folder: Path
    """Holds `local` and `public`."""

    def file(self, asset: str) -> Path:
        """Return the file of a local asset."""
        return self.folder / "local" / f"{asset.removeprefix(LOCAL + '/')}.tif"


@pytest.fixture(scope="session")
def qgis() -> None:
    """Skip where there is no QGIS."""
    if not has_qgis():
        pytest.skip(f"{SYSTEM_PYTHON} has no QGIS")


@pytest.fixture(scope="session", autouse=True)
def _nothing_from_elsewhere() -> Iterator[None]:
    """Refuse at once what clients look up elsewhere; what they ask of this machine goes through."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("https_proxy", "http://127.0.0.1:9")
        environment.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve all rasters."""
    top = tmp_path_factory.mktemp("clients")
    write_all(top)
    config = Config(
        rasters=(
            RasterFolder(str(top / "local"), LOCAL),
            RasterFolder(str(top / "public"), PUBLIC),
        ),
        api=ApiSettings(graphs=str(top / "graphs")),
    )
    with serve(create_app(config)) as url:
        yield Served(url, top)


@pytest.fixture(scope="module")
def ee(served: Served) -> Iterator[ModuleType]:
    """Return the official client, asking the server."""
    import ee as official

    anonymous: Any = AnonymousCredentials  # Its constructor has no types.
    official.Initialize(anonymous(), url=served.url, project="localhost")
    yield official
    official.Reset()


@pytest.fixture(scope="session")
def web() -> Iterator[requests.Session]:
    """Return what fetches URLs that clients were handed, without any credentials."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
