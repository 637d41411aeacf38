"""The configuration: every setting with its default, unit and meaning, read once at start.

Values come from the command line, or else the environment, the file, the defaults below.
A setting `[cache] memory` is TILESERVER_CACHE__MEMORY in the environment, and secrets may be
written "env:NAME". Other variables that are read are not the server's own: those of Google's
credentials, of S3 and Cloud Storage as GDAL knows them, of the user's state folder, and
PROMETHEUS_MULTIPROC_DIR.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from tileserver.config import kinds
from tileserver.config.gathering import gather_environment, gather_file, gather_overrides
from tileserver.config.kinds import Schema
from tileserver.config.layers import Contradiction, check_layer
from tileserver.config.layers import LayerSettings as LayerSettings
from tileserver.config.messages import contradicts, explain
from tileserver.config.page import BaseMap, PageSettings
from tileserver.config.tables import after, by_name, dataclass_schema, table_schema, with_default
from tileserver.config.values import Values
from tileserver.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import CoreSchema, SchemaValidator

log = logging.getLogger(__name__)
_Named = TypeVar("_Named", LayerSettings, BaseMap)


@dataclass(frozen=True, slots=True)
class Server:
    """[server]: where the server listens."""

    host: Annotated[str, kinds.HOST, "address to listen on; 0.0.0.0 for all. Also HOST"] = (
        "127.0.0.1"
    )
    port: Annotated[int, kinds.PORT, "port to listen on; 0 for any free one. Also PORT"] = 8080
    workers: Annotated[int, kinds.COUNT, "processes that answer requests"] = 1
    public_url: Annotated[
        str | None,
        kinds.BASE_URL,
        "how clients reach the server, for the URLs it hands out; else what a request says",
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        kinds.PROXIES,
        "proxies whose X-Forwarded-Host, -Port and -Prefix count, and -Proto and -For, by their "
        "addresses or networks; without any, the last two of those on this machine count. Also "
        "FORWARDED_ALLOW_IPS",
    ] = ()


@dataclass(frozen=True, slots=True)
class RasterFolder:
    """[[rasters]]: GeoTIFFs that are served as assets."""

    path: Annotated[
        str,
        kinds.RASTER_PATH,
        "a GeoTIFF, a folder of them, a .vrt, or the address of a COG; "
        "in a file, relative to the folder of that file",
    ]
    prefix: Annotated[
        str, kinds.ASSET_PREFIX, "assets are named prefix/<path below, without extension>"
    ] = "projects/localhost/assets"
    formats: Annotated[
        tuple[str, ...],
        kinds.RASTER_FORMATS,
        "GDAL's drivers whose files are rasters, or netCDF and Zarr; a file is opened with that of "
        "its suffix alone. "
        "Leave it at GeoTIFF where strangers may write",
    ] = ("GTiff",)
    mosaic: Annotated[
        bool,
        kinds.FLAG,
        "make one layer of all GeoTIFFs in the folder: an image prefix/<name of the folder>, "
        "with the files below it",
    ] = False
    pixel_selection: Annotated[
        str,
        kinds.PIXEL_SELECTION,
        "of a mosaic, the file that shows where several lie, or what is made of all of them; "
        "files of the same rank, and without a time, in the order of their names",
    ] = "newest"
    index: Annotated[
        str | None,
        kinds.FOLDER_PATH,
        "of a mosaic, the folder that keeps what is known of its files; "
        "else tileserver/mosaics in the user's cache folder",
    ] = None


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """[cache]: finished tiles and decoded blocks that are kept."""

    memory_bytes: Annotated[
        int | None,
        kinds.MEMORY,
        "most memory that finished tiles and repeated responses take, per worker; "
        "else an eighth of the machine's or the container's, shared by the workers, "
        "at most 512 MB",
    ] = None
    ttl_s: Annotated[
        float, kinds.DURATION, "age after which a tile is fetched again, served stale meanwhile"
    ] = 3600
    url: Annotated[
        str | None, kinds.STORE_URL, "Valkey or Redis that workers and machines share"
    ] = field(default=None, repr=False)
    blocks_bytes: Annotated[
        int | None,
        kinds.MEMORY,
        "most memory that decoded blocks of GeoTIFFs take, per worker; "
        "else a quarter of the machine's or the container's, shared by the workers, at most 2 GB",
    ] = None


@dataclass(frozen=True, slots=True)
class PyramidSettings:
    """[pyramids]: overviews of local GeoTIFFs that have none, made while nothing else is to do."""

    enabled: Annotated[bool, kinds.FLAG, "make them, and show those that are made"] = True
    path: Annotated[
        str | None,
        kinds.FOLDER_PATH,
        "folder they are kept in; else tileserver/pyramids in the user's cache folder",
    ] = None
    size_bytes: Annotated[
        int,
        kinds.MEMORY,
        "most disk space they take; those not used for a day make room for others",
    ] = 10_000_000_000


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """[remote]: GeoTIFFs and STAC documents behind URLs."""

    hosts: Annotated[
        tuple[str, ...],
        kinds.TEXTS,
        "names of hosts that STAC documents may lead to, beside the host of the document "
        "itself; with a port if it is not the usual one, of s3:// and gs:// the bucket; "
        "* stands for any letters",
    ] = ()

    private_hosts: Annotated[
        tuple[str, ...],
        kinds.TEXTS,
        "names of hosts that may have private addresses; others may not, "
        "unless a URL gives the address itself",
    ] = ()


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """[access]: which assets are served, and to whom."""

    assets: Annotated[
        tuple[str, ...] | None,
        kinds.TEXTS,
        "patterns of assets served: * within a part of the name, ** across slashes; "
        "else those of the layers and rasters",
    ] = None
    keys: Annotated[
        tuple[tuple[str, str], ...],
        kinds.SECRET,
        "API keys by the name of who holds them; with any, all but health needs one",
    ] = field(default=(), repr=False)
    open: Annotated[
        bool,
        kinds.FLAG,
        "serve /v1 and /metrics without keys beyond this machine, too, to everybody",
    ] = False

    def secrets(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the API keys themselves by name, with "env:NAME" looked up.

        Raises:
            ConfigError: a variable is not set, or empty.
        """
        return {name: _resolve_secret(name, secret, environ) for name, secret in self.keys}


@dataclass(frozen=True, slots=True)
class EarthEngineSettings:
    """[earth_engine]: present when Earth Engine is to be asked."""

    project: Annotated[str, kinds.PROJECT, "Google Cloud project that is billed"]
    endpoint: Annotated[str, kinds.BASE_URL, "where Earth Engine's API is"] = (
        "https://earthengine-highvolume.googleapis.com"
    )
    concurrency: Annotated[
        int, kinds.COUNT, "most requests in flight at once, over all workers"
    ] = 40
    requests_per_second: Annotated[
        float, kinds.POSITIVE, "most requests begun in a second, over all workers"
    ] = 100


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """[api]: the Earth Engine-compatible REST API."""

    enabled: Annotated[bool, kinds.FLAG, "serve Earth Engine's REST API below /v1"] = True
    graphs: Annotated[
        str | None,
        kinds.FOLDER_PATH,
        "folder of the maps and thumbnails that were handed out as URLs; "
        "else tileserver/graphs in the user's state folder",
    ] = None


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """[exports]: images and tables written to files by `ee.batch.Export`."""

    folder: Annotated[
        str | None,
        kinds.FOLDER_PATH,
        "folder they are written to, which turns exports on; the files are assets if it is one "
        "of the [[rasters]], too",
    ] = None
    size_bytes: Annotated[
        int, kinds.MEMORY, "most disk space that the files of that folder take"
    ] = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of tileserver."""

    server: Server = Server()
    rasters: tuple[RasterFolder, ...] = ()
    cache: CacheSettings = CacheSettings()
    pyramids: PyramidSettings = PyramidSettings()
    remote: RemoteSettings = RemoteSettings()
    access: AccessSettings = AccessSettings()
    api: ApiSettings = ApiSettings()
    exports: ExportSettings = ExportSettings()
    earth_engine: EarthEngineSettings | None = None
    layers: tuple[LayerSettings, ...] = ()
    """In the order of the file; those that only the environment knows come last."""
    page: PageSettings = PageSettings()  # noqa: RUF009 - it is frozen.
    base_maps: tuple[BaseMap, ...] = ()

    @property
    def has_sources(self) -> bool:
        """Whether it names anything to serve; the bundled demo is served without."""
        return bool(self.rasters or self.layers or self.earth_engine)


TABLES: Mapping[str, Any] = {
    "server": Server,
    "rasters": RasterFolder,
    "cache": CacheSettings,
    "pyramids": PyramidSettings,
    "remote": RemoteSettings,
    "access": AccessSettings,
    "api": ApiSettings,
    "exports": ExportSettings,
    "earth_engine": EarthEngineSettings,
    "layers": LayerSettings,
    "page": PageSettings,
    "base_maps": BaseMap,
}


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
    values = Values(TABLES)
    if path is not None:
        gather_file(values, path)
    gather_environment(values, environ)
    gather_overrides(values, overrides)
    config = _validated(values, None if path is None else path.parent)
    for layer in config.layers:
        _check(layer, values)
    if path is not None:
        _warn_of_readers(path, config)
    return config


@cache
def config_schema() -> Schema:
    """Return the schema of a `Config` for pydantic-core."""
    sections = {name: table_schema(table) for name, table in TABLES.items()}
    tables = {"type": "tuple", "items_schema": [sections["rasters"]], "variadic_item_index": 0}
    named = {name: after(_with_names, by_name(sections[name])) for name in ("layers", "base_maps")}
    sections |= {"rasters": tables, **named}
    defaults = {each.name: each.default for each in fields(Config)}
    members = {n: (n, with_default(each, defaults[n])) for n, each in sections.items()}
    return dataclass_schema(Config, members)


def _with_names(tables: Mapping[str, _Named]) -> tuple[_Named, ...]:
    return tuple(replace(table, name=name) for name, table in tables.items())


@cache
def _validator() -> SchemaValidator:
    from pydantic_core import SchemaValidator

    return SchemaValidator(cast("CoreSchema", config_schema()))


def _validated(values: Values, folder: Path | None) -> Config:
    from pydantic_core import ValidationError

    document = values.document()
    try:
        return cast("Config", _validator().validate_python(document, context=cast("Any", folder)))
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_context=False, include_input=False)
    # Raised here, where no pydantic error is its context: that one holds the values.
    raise explain(faults, values)


def _check(layer: LayerSettings, values: Values) -> None:
    try:
        check_layer(layer, set(values.below(("layers", layer.name))))
    except Contradiction as exc:
        raise contradicts(exc, ("layers", layer.name), values) from None


def _warn_of_readers(path: Path, config: Config) -> None:
    """Warn of a file with keys in it that every user of this machine can read."""
    is_literal = any(not secret.startswith("env:") for _, secret in config.access.keys)
    if is_literal and path.stat().st_mode & stat.S_IROTH:
        log.warning(
            "%s holds API keys and every user of this machine can read it; "
            'chmod o-r it, or write "env:NAME" for a key in the environment',
            path,
        )


def _resolve_secret(name: str, secret: str, environ: Mapping[str, str]) -> str:
    variable = secret.removeprefix("env:")
    if variable == secret:
        return secret
    if not environ.get(variable):
        raise ConfigError(f"{variable}: expected the secret of access key {name!r}, got nothing")
    return environ[variable]
