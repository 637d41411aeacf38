"""The assets to choose from, of all providers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tileserver.config.config import EarthEngineSettings
from tileserver.contract.mounts import Mounts
from tileserver.contract.names import PUBLIC_ROOT, root_name
from tileserver.rest.asset_metadata import AssetMetadata, LocalAssets
from tileserver.rest.browsing import Browser


def browser_of(
    earth: EarthEngineSettings | None,
    prefixes: Iterable[str],
    local: AssetMetadata,
    assets: Sequence[tuple[str, AssetMetadata]],
) -> Browser:
    """Return the assets to choose from: the folders of rasters, and Earth Engine's if it is used.

    Args:
        earth: the settings of Earth Engine, if it is used.
        prefixes: of the names of local rasters.
        local: the assets of local rasters; without any they have no prefix in `assets`.
        assets: the assets of all providers, by the prefixes of their names.
    """
    assert isinstance(local, LocalAssets), "the first provider is that of local rasters"
    roots = [root_name(prefix) for prefix in prefixes]
    if earth is not None:
        roots += [f"projects/{earth.project}/assets", PUBLIC_ROOT]
    return Browser(local, Mounts(assets), roots)
