"""Pictures of the same tile by different servers, compared."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence

import numpy as np
from PIL import Image

MOST_DIFFERENCE = 12.0
"""Of 255, between pictures of the same tile; another overview or half a pixel is below."""


def difference(ones: Sequence[bytes], others: Sequence[bytes]) -> float:
    """Return the mean absolute difference of pictures, of 255; without data counts as black."""
    return statistics.mean(
        float(np.abs(_rgb(one) - _rgb(other)).mean())
        for one, other in zip(ones, others, strict=True)
    )


def _rgb(picture: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    with Image.open(io.BytesIO(picture)) as image:
        rgba = np.asarray(image.convert("RGBA")).astype(np.int16)
    return rgba[..., :3] * (rgba[..., 3:] > 0)
