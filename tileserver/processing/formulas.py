"""Bands made by a formula; imported when one is asked for, as the evaluator takes 0.1 s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tileserver.compute import algorithms as algorithms
from tileserver.compute.formula import Formula, formula_of
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays


@dataclass(frozen=True)
class ByFormula:
    """A `Maker` of one band by a formula over others."""

    formula: Formula
    margin_px: int = 0

    @classmethod
    def over(cls, text: str, asset: ImageAsset) -> Self:
        """Return the maker for an asset; raises as `formula_of`."""
        return cls(formula_of(text, asset))

    @property
    def band_ids(self) -> tuple[str, ...]:
        """The bands that the formula names."""
        return self.formula.band_ids

    def make(self, bands: BandArrays, grid: PixelGrid) -> BandArrays:
        """Return the formula's band; blocks."""
        return self.formula.compute(bands, grid)
