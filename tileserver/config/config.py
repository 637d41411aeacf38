"""The configuration: every setting with its default, unit and meaning, read once at start.

Values come from the command line, or else the environment, the file, the defaults below.
A setting `[cache] memory` is TILESERVER_CACHE__MEMORY in the environment; `describe` lists
them all. Nothing else reads the environment, save for secrets that are written "env:NAME".
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tileserver.config import kinds
from tileserver.config.environment import gather_environment, gather_overrides
from tileserver.config.fields import (
    Setting,
    Shape,
    Values,
    build_config,
    schema_of,
    section,
    setting,
)
from tileserver.config.file import gather_file
from tileserver.config.layers import LayerSettings as LayerSettings
from tileserver.config.layers import check_layer
from tileserver.errors import ConfigError

_BASE_URL = 'an address such as "https://tiles.example.org", without user, query or fragment'

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """[server]: where the server listens."""

    host: str = field(
        default="127.0.0.1",
        metadata=setting(kinds.HOST, "address to listen on; 0.0.0.0 for all. Also HOST"),
    )
    port: int = field(
        default=8080,
        metadata=setting(kinds.whole(0, 65535), "port to listen on; 0 for any free one. Also PORT"),
    )
    workers: int = field(
        default=1, metadata=setting(kinds.whole(1), "processes that answer requests")
    )
    public_url: str | None = field(
        default=None,
        metadata=setting(
            kinds.url(_BASE_URL, ("http", "https"), is_base=True),
            "how clients reach the server, for the URLs it hands out; else what a request says",
        ),
    )


@dataclass(frozen=True, slots=True)
class RasterFolder:
    """One [[rasters]]: GeoTIFFs that are served as assets."""

    path: str = field(
        metadata=setting(
            kinds.RASTER_PATH,
            "a GeoTIFF, a folder of them, or the address of a COG; "
            "in a file, relative to the folder of that file",
        )
    )
    prefix: str = field(
        default="projects/localhost/assets",
        metadata=setting(
            kinds.ASSET_PREFIX, "assets are named prefix/<path below, without extension>"
        ),
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """[cache]: finished tiles that are kept."""

    memory_bytes: int = field(
        default=512_000_000,
        metadata=setting(kinds.MEMORY, "most memory the cache takes, per worker", key="memory"),
    )
    ttl_s: float = field(
        default=3600,
        metadata=setting(
            kinds.DURATION,
            "age after which a tile is fetched again, served stale meanwhile",
            key="ttl",
        ),
    )
    url: str | None = field(
        default=None,
        repr=False,
        metadata=setting(
            kinds.url('an address such as "redis://localhost:6379"', ("redis", "rediss", "unix")),
            "Valkey or Redis that workers and machines share",
        ),
    )


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """[remote]: GeoTIFFs behind URLs."""

    private_hosts: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            kinds.TEXTS,
            "names of hosts that may have private addresses; others may not, "
            "unless a URL gives the address itself",
        ),
    )


@dataclass(frozen=True, slots=True)
class Access:
    """[access]: which assets are served, and to whom."""

    assets: tuple[str, ...] | None = field(
        default=None,
        metadata=setting(
            kinds.TEXTS,
            "patterns of assets served: * within a part of the name, ** across slashes; "
            "else those of the layers and rasters",
        ),
    )
    keys: tuple[tuple[str, str], ...] = field(
        default=(),
        repr=False,
        metadata=setting(
            kinds.SECRET,
            "API keys by the name of who holds them; with any, all but health needs one",
            is_mapping=True,
        ),
    )
    open: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            "serve /v1 and /metrics without keys beyond this machine, too, to everybody",
        ),
    )

    def secrets(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the API keys themselves by name, with "env:NAME" looked up.

        Raises:
            ConfigError: a variable is not set, or empty.
        """
        return {name: _looked_up(name, secret, environ) for name, secret in self.keys}


@dataclass(frozen=True, slots=True)
class EarthEngineSettings:
    """[earth_engine]: present when Earth Engine is to be asked."""

    project: str = field(
        metadata=setting(
            kinds.text("a Google Cloud project id of 6 to 30 characters", kinds.PROJECT),
            "Google Cloud project that is billed",
        )
    )
    endpoint: str = field(
        default="https://earthengine-highvolume.googleapis.com",
        metadata=setting(
            kinds.url(_BASE_URL, ("http", "https"), is_base=True), "where Earth Engine's API is"
        ),
    )
    concurrency: int = field(
        default=40,
        metadata=setting(kinds.whole(1), "most requests in flight at once, over all workers"),
    )
    requests_per_second: float = field(
        default=100,
        metadata=setting(
            kinds.number("a number above 0", lambda value: value > 0),
            "most requests begun in a second, over all workers",
        ),
    )


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """[api]: the Earth Engine-compatible REST API."""

    enabled: bool = field(
        default=True,
        metadata=setting(kinds.FLAG, "serve Earth Engine's REST API below /v1"),
    )
    graphs: str | None = field(
        default=None,
        metadata=setting(
            kinds.FOLDER_PATH,
            "folder of the maps and thumbnails that were handed out as URLs; "
            "else tileserver/graphs in the user's state folder",
        ),
    )


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set."""

    server: Server = field(default=Server(), metadata=section(Server))
    rasters: tuple[RasterFolder, ...] = field(
        default=(), metadata=section(RasterFolder, Shape.LIST)
    )
    cache: CacheSettings = field(default=CacheSettings(), metadata=section(CacheSettings))
    remote: RemoteSettings = field(default=RemoteSettings(), metadata=section(RemoteSettings))
    access: Access = field(default=Access(), metadata=section(Access))
    api: ApiSettings = field(default=ApiSettings(), metadata=section(ApiSettings))
    earth_engine: EarthEngineSettings | None = field(
        default=None, metadata=section(EarthEngineSettings)
    )
    layers: tuple[LayerSettings, ...] = field(
        default=(), metadata=section(LayerSettings, Shape.NAMED)
    )
    """In the order of the file; those that only the environment knows come last."""


class Description(NamedTuple):
    """A row of the table of settings in the README."""

    key: str
    """As in "cache.memory", "rasters[].path", "layers.NAME.asset"."""
    type: str
    default: str
    """As a user would write it; "required" or "none" when there is no default."""
    meaning: str


def load_config(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Config:
    """Return the configuration; the command line beats the environment, that beats the file.

    Args:
        path: A TOML file, or None for none.
        environ: `os.environ`, or what stands for it.
        overrides: The command line by dotted key, {"server.port": 8080}; None is not given.

    Raises:
        ConfigError: anything is wrong. One line that names the file, variable or flag, the
            place in it, what came and what it may be, and never a secret.
    """
    schema = schema_of(Config)
    values = Values()
    if path is not None:
        gather_file(values, schema, path)
    gather_environment(values, schema, environ)
    gather_overrides(values, schema, overrides)
    config = build_config(Config, values)
    for layer in config.layers:
        check_layer(layer, values)
    if path is not None:
        _warn_of_readers(path, config)
    return config


def _warn_of_readers(path: Path, config: Config) -> None:
    """Warn of a file with keys in it that every user of this machine can read."""
    is_literal = any(not secret.startswith("env:") for _, secret in config.access.keys)
    if is_literal and path.stat().st_mode & stat.S_IROTH:
        log.warning(
            "%s holds API keys and every user of this machine can read it; "
            'chmod o-r it, or write "env:NAME" for a key in the environment',
            path,
        )


def _looked_up(name: str, secret: str, environ: Mapping[str, str]) -> str:
    variable = secret.removeprefix("env:")
    if variable == secret:
        return secret
    if not environ.get(variable):
        raise ConfigError(f"{variable}: expected the secret of access key {name!r}, got nothing")
    return environ[variable]


def describe() -> list[Description]:
    """Return every setting with its type, default and meaning, in the order of the classes."""
    owners = {Shape.TABLE: "", Shape.LIST: "[]", Shape.NAMED: ".NAME"}
    return [
        Description(
            f"{name}{owners[part.shape]}.{each.key}{'.NAME' if each.is_mapping else ''}",
            each.kind.expected,
            _default_text(each),
            each.meaning,
        )
        for name, part in schema_of(Config).items()
        for each in part.settings.values()
    ]


def _default_text(each: Setting) -> str:
    if each.default is MISSING:
        return "required"
    absent: tuple[Any, ...] = (None, ())
    return "none" if each.default in absent else each.kind.write(each.default)
