"""The REST API of a server, as its configuration has it."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

from tileserver.config.config import Config
from tileserver.contract.mounts import Mounts
from tileserver.exports.destinations import Folder
from tileserver.exports.exporter import Exporter, Planner
from tileserver.http.endpoints import Services
from tileserver.rasters.catalogue import Catalogue
from tileserver.rest.asset_metadata import AssetMetadata
from tileserver.rest.call import Api
from tileserver.rest.expression_store import ExpressionStore, default_folder
from tileserver.server.late_computing import LateComputing


def rest_api(
    config: Config,
    services: Services,
    assets: Mounts[AssetMetadata],
    computing: LateComputing,
    catalogue: Catalogue,
    resources: AsyncExitStack,
) -> Api:
    """Return what the methods of the REST API work with.

    Args:
        config: has the folders of maps and of exports.
        services: of the tile server's own routes.
        assets: by the prefixes of names.
        computing: computes expressions.
        catalogue: looks at its folders again when an export has become an asset.
        resources: stops exports.
    """
    folder = Path(config.api.graphs) if config.api.graphs else default_folder(os.environ)
    exporter = _exporter(config, computing, catalogue, resources)
    return Api(services, assets, computing, ExpressionStore(folder), exporter)


def _exporter(
    config: Config, planner: Planner, catalogue: Catalogue, resources: AsyncExitStack
) -> Exporter | None:
    """Return what runs exports, or None if the configuration has no folder for them."""
    if config.exports.folder is None:
        return None
    path = Path(config.exports.folder)
    folder = Folder(path, config.exports.size_bytes)
    exporter = Exporter(folder, planner, _prefix(config, path), catalogue.scan_again)
    resources.push_async_callback(exporter.close)
    return exporter


def _prefix(config: Config, path: Path) -> str | None:
    """Return the prefix of the assets in a folder, if it is one of the rasters'."""
    own = os.path.realpath(path)
    for each in config.rasters:
        if os.path.realpath(each.path) == own:
            return each.prefix.rstrip("/")
    return None
