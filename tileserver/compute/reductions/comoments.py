"""Means and products of deviations of several columns, joined piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.reducer import Accumulator, Column, Weights, number_rows

Numbers = NDArray[np.float64]


class Comoments(Accumulator):
    """The weight, the means, and the matrix of summed products of deviations from them."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.means: Numbers = np.zeros(0)
        self.products: Numbers = np.zeros((0, 0))

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows; those with a number that is not finite are left out."""
        values, weights = number_rows(columns, self.name)
        self.add_rows(np.stack(values, axis=1), weights)

    def add_rows(self, rows: Numbers, weights: Weights | None = None) -> None:
        """Take some more rows, shape (count, columns)."""
        keep = np.isfinite(rows).all(axis=1)
        rows = rows[keep]
        each = np.ones(len(rows)) if weights is None else weights[keep]
        weight = float(each.sum())
        if not weight > 0:
            return
        means = each @ rows / weight
        off = rows - means
        products = (off * each[:, np.newaxis]).T @ off
        self.held_bytes = 3 * products.nbytes
        if not self.weight:
            self.weight, self.means, self.products = weight, means, products
            return
        both, apart = self.weight + weight, means - self.means
        self.products = (
            self.products + products + np.outer(apart, apart) * self.weight * weight / both
        )
        self.means = self.means + apart * weight / both
        self.weight = both
