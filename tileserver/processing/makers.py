"""Makers of bands: each computes bands from other bands of an asset."""

from __future__ import annotations

from typing import Protocol

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.contract.processing import Processing
from tileserver.processing.relief import relief_of
from tileserver.processing.terrain import ByTerrain


class Maker(Protocol):
    """Makes bands of those of an asset."""

    @property
    def band_ids(self) -> tuple[str, ...]:
        """The bands that it needs."""
        ...

    @property
    def margin_px(self) -> int:
        """How many pixels around the grid it needs them."""
        ...

    def make(self, bands: BandArrays, grid: PixelGrid) -> BandArrays:
        """Return the bands made, on the grid without its margin, under any ids; blocks.

        Args:
            bands: those that it needs.
            grid: with the margin.
        """
        ...


def maker_of(
    processing: Processing | None, asset: ImageAsset, band_ids: tuple[str, ...]
) -> Maker | None:
    """Return the maker of the bands of a request; None if they stay as they are. Blocks.

    Raises:
        InvalidRequest: it does not fit the asset.
    """
    if processing is None:
        return None
    if processing.algorithm is not None:
        return ByTerrain(processing, band_ids or asset.band_ids[:1])
    if processing.expression is not None:
        from tileserver.processing.formulas import ByFormula

        return ByFormula.over(processing.expression, asset)
    return relief_of(asset, band_ids) if processing.relief else None
