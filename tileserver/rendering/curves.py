"""Curves from values to shades: logarithmic, and equally frequent shades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOG_FACTOR = 1000.0
"""v becomes log(1 + 1000 v) / log(1001), as Astropy's LogStretch has it."""


def logarithmic(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shades, 0 to 1, of values as shares of a range."""
    return np.asarray(np.log1p(LOG_FACTOR * share) / np.log1p(LOG_FACTOR))


def equalized(values: NDArray[Any], quantiles: Sequence[float]) -> NDArray[np.float64]:
    """Return the share of all values that are below each value, 0 to 1.

    Args:
        values: to be shaded.
        quantiles: of all values, equally spaced from the least to the largest.
    """
    steps, first = np.unique(np.asarray(quantiles), return_index=True)
    last = np.append(first[1:], len(quantiles)) - 1
    # A value that many pixels have stands in the middle of its share.
    share = (first + last) / 2 / max(len(quantiles) - 1, 1)
    return np.asarray(np.interp(values.astype(np.float64), steps, share))
