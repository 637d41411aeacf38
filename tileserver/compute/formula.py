"""A formula over the bands of one image, in the grammar of `Image.expression`.

    (B8 - B4) / (B8 + B4)

Bands go by their names, or as b("name") and b(0) where a name is no identifier.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tileserver.compute.algorithms.image.expression import parse_formula
from tileserver.compute.budget import COMPUTING_S, Budget
from tileserver.compute.context import Context
from tileserver.compute.nodes import Node, Read
from tileserver.compute.pixels.plan import compute
from tileserver.compute.registry import as_invalid_request
from tileserver.compute.values.image import Band, Image, stored_band
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest, TileserverError
from tileserver.geo.tables import Table

MAX_CHARACTERS = 2000
_WHOLE = "all bands"
"""The name of the image that b() takes; no band can have it."""


@dataclass(frozen=True)
class Formula:
    """A formula that fits an asset, ready to be computed."""

    image: Image
    band_ids: tuple[str, ...]
    """The bands that it reads."""

    def compute(self, bands: BandArrays, grid: PixelGrid) -> BandArrays:
        """Return the band that it makes of bands on a grid; blocks.

        Args:
            bands: those of `band_ids`.
            grid: where they lie.

        Raises:
            InvalidRequest: it takes too much time or memory.
        """
        (band,) = self.image.bands

        def read(asset: ImageAsset, band_ids: tuple[str, ...], part: PixelGrid) -> BandArrays:
            return _part(bands, band_ids, _window(grid, part))

        budget = Budget(time.monotonic() + COMPUTING_S)
        dtype = band.type.dtype
        with np.errstate(all="ignore"), as_invalid_request("expression"):
            (values,), (mask,) = compute([band.node], [dtype], grid, read, budget)
        return BandArrays((), values[np.newaxis], mask[np.newaxis] > 0)


@lru_cache(maxsize=256)
def formula_of(text: str, asset: ImageAsset) -> Formula:
    """Return a formula over an asset's bands.

    Raises:
        InvalidRequest: it cannot be parsed, is too long, names a band that is not there, or makes
            more bands than one; says where.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(
            f"expression: it has {len(text)} characters, at most {MAX_CHARACTERS} may be"
        )
    bands = [stored_band(asset, band) for band in asset.bands]
    scope = {band.id: Image((band,)) for band in bands}
    budget = Budget(time.monotonic() + COMPUTING_S)
    try:
        formula = parse_formula(text, _WHOLE, list(scope))
        with as_invalid_request("expression"), np.errstate(all="ignore"):
            made = formula(Context(_Nowhere(), budget), {**scope, _WHOLE: Image(tuple(bands))})
    except InvalidRequest as exc:
        raise InvalidRequest(f"expression: {exc}") from exc
    if len(made.bands) != 1:
        raise InvalidRequest(
            f"expression: expected one band, this makes {len(made.bands)}; "
            f"the bands are {_listed(asset.band_ids)}"
        )
    wanted = _bands_read(made.bands[0], asset)
    return Formula(made, wanted or asset.band_ids[:1])


def _bands_read(band: Band, asset: ImageAsset) -> tuple[str, ...]:
    """Return the bands that a band is made of, in the asset's order."""
    seen: set[int] = set()
    found: set[str] = set()
    stack: list[Node] = [band.node]
    grid = asset.common_grid.window(Window(0, 0, 1, 1))
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Read):
            found.add(node.band_id)
        stack += [need for need, _ in node.step(grid).needs]
    return tuple(each for each in asset.band_ids if each in found)


def _window(whole: PixelGrid, part: PixelGrid) -> Window:
    """Return the window that a part of a grid is."""
    inverse = whole.transform.inverse()
    column, row = inverse.apply(part.transform.translate_x, part.transform.translate_y)
    return Window(round(column), round(row), part.width, part.height)


def _part(bands: BandArrays, band_ids: Sequence[str], window: Window) -> BandArrays:
    indexes = [bands.ids.index(each) for each in band_ids]
    down, across = window.slices
    values, valid = (each[indexes][:, down, across] for each in (bands.values, bands.valid))
    return BandArrays(tuple(band_ids), values, valid)


def _listed(band_ids: Sequence[str], most: int = 20) -> str:
    more = ", …" if len(band_ids) > most else ""
    return ", ".join(band_ids[:most]) + more


class _Nowhere:
    """The assets that a formula may name: none."""

    def find_image(self, asset_id: str) -> ImageAsset:
        raise TileserverError(asset_id)

    def find_table(self, asset_id: str) -> Table:
        raise TileserverError(asset_id)

    def find_collection(self, asset_id: str) -> tuple[str, Sequence[str], dict[str, object]]:
        raise TileserverError(asset_id)

    def state(self, asset_id: str, max_age_s: float | None = None) -> str:
        return ""

    def read(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        raise TileserverError(asset.name)
