"""The map page: plain files, served as they are."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tileserver.config.config import Config
from tileserver.config.page import OPENSTREETMAP, BaseMap
from tileserver.errors import ConfigError
from tileserver.http.compressed import compressed

_PACKAGE = Path(__file__).parents[1]
WORLD = "vendor/world-atlas/outlines.json"
"""Land and borders, below the folder of the page."""


@dataclass(frozen=True, slots=True)
class PageLinks:
    """What the page offers of other servers; it asks none before its user chooses to."""

    base_maps: tuple[BaseMap, ...] = ()
    geocoder: str | None = None
    world: str | None = None
    """Where outlines of land are, relative to the page."""
    local: tuple[str, ...] | None = None
    """Prefixes of the assets that Earth Engine is not asked for; None without Earth Engine."""

    @property
    def policy(self) -> str:
        """The content security policy: nothing inline, no other origins; any page may frame it."""
        urls = [url for each in self.base_maps for url in (each.url, each.dark_url) if url]
        pictures = dict.fromkeys(map(_origin, urls))
        asked = [_origin(self.geocoder)] if self.geocoder else []
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                " ".join(("img-src 'self' data: blob:", *pictures)),
                " ".join(("connect-src 'self'", *asked)),
                "worker-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors *",
            )
        )

    @property
    def document(self) -> dict[str, object]:
        """The JSON of /page.json."""
        return {
            "world": self.world,
            "base_maps": [_base_map(each) for each in self.base_maps],
            "geocoder": self.geocoder,
            "local": self.local,
        }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _base_map(given: BaseMap) -> dict[str, object]:
    return {
        "name": given.name,
        "title": given.title or given.name,
        "url": given.url,
        "dark_url": given.dark_url,
        "attribution": given.attribution or "",
        "max_zoom": given.max_zoom,
    }


def page_links(config: Config) -> PageLinks:
    """Return what a configuration offers."""
    bundled = (OPENSTREETMAP,) if config.page.openstreetmap else ()
    world = WORLD if f"/{WORLD}" in page_files() else None
    prefixes = tuple(dict.fromkeys(each.prefix for each in config.rasters))
    local = prefixes if config.earth_engine else None
    return PageLinks((*bundled, *config.base_maps), config.page.geocoder, world, local)


_BUILD_ONLY = (".", "package", "node_modules")
"""Prefixes of files that only the build uses."""


def page_folder() -> Path:
    """Return the folder of the page: in the wheel, or beside the package in a checkout.

    Raises:
        ConfigError: Leaflet is missing: the package was not built.
    """
    for folder in (_PACKAGE / "web", _PACKAGE.parent / "web"):
        if (folder / "vendor" / "leaflet" / "leaflet.js").is_file():
            return folder
    raise ConfigError(
        "the page's Leaflet is missing; `pip install .` or `pip install -e .` brings it"
    )


def page_files() -> frozenset[str]:
    """Return the URL paths of the page's files, without index.html; the same on every server."""
    folder = page_folder()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    shown = (name for name in names if name != "index.html" and not name.startswith(_BUILD_ONLY))
    return frozenset(f"/{name}" for name in shown)


class Page(StaticFiles):
    """The files of the page, with a strict content security policy."""

    def __init__(self, directory: Path, html: bool, policy: str) -> None:
        """Serve a folder; with `html`, its index.html for the folder itself."""
        super().__init__(directory=directory, html=html)
        self.policy = policy
        # Reads the system's tables, which the first request would do otherwise.
        if not mimetypes.inited:
            mimetypes.init()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or 404 for one that only the build uses."""
        # "." is the folder itself.
        if path != "." and path.startswith(_BUILD_ONLY):
            path = "none"
        response = await super().get_response(path, scope)
        response.headers["content-security-policy"] = self.policy
        # OpenStreetMap requires a Referer.
        response.headers["referrer-policy"] = "strict-origin-when-cross-origin"
        response.headers["cache-control"] = "no-cache"
        return await compressed(response, scope)
