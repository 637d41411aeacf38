"""Masks of images: read, set, and filled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import chosen_values, fitted, paired
from tileserver.compute.coercion import constant_image
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.pixels.reprojected import within
from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import PixelType

_SHARE = PixelType("float", 0, 1)


@algorithm("Image.mask(image: Image, mask: Image = null) -> Image")
def mask(image: Image, new_mask: Image | None) -> Image:
    """Return the masks of an image's bands, 0 to 1, or the image with another mask."""
    if new_mask is not None:
        return _masked(image, new_mask, keeps_old=False)

    def compute(pixels: Pixels) -> Pixels:
        return Pixels(pixels.mask, _ones(pixels.mask))

    return map_bands(
        image, lambda band: replace(band, type=_SHARE, node=Apply(compute, (band.node,)))
    )


@algorithm("Image.updateMask(image: Image, mask: Image) -> Image")
def update_mask(image: Image, new_mask: Image) -> Image:
    """Return an image, masked where another one is zero or masked."""
    return _masked(image, new_mask, keeps_old=True)


@algorithm("Image.selfMask(image: Image) -> Image")
def self_mask(image: Image) -> Image:
    """Return an image, masked where it is zero."""
    return _masked(image, image, keeps_old=True)


def _masked(image: Image, new_mask: Image, keeps_old: bool) -> Image:
    def compute(pixels: Pixels, by: Pixels) -> Pixels:
        share = opacity(by)
        return Pixels(pixels.values, pixels.mask * share if keeps_old else share)

    pairs = paired(image, new_mask)
    # A mask of several bands over an image of one gives as many bands, of its names.
    names = image if len(image.bands) >= len(new_mask.bands) else new_mask
    bands = [
        replace(band, id=name.id, node=Apply(compute, (band.node, by.node)))
        for (band, by), name in zip(pairs, names.bands, strict=True)
    ]
    return image.derived(bands)


def opacity(pixels: Pixels) -> NDArray[np.float32]:
    """Return an image's values as a mask, 0 to 1; zero where it is masked itself."""
    values = np.nan_to_num(pixels.values.astype(np.float32), nan=0.0)
    share: NDArray[np.float32] = np.clip(values, 0, 1) * pixels.mask
    return share


def _ones(like: NDArray[Any]) -> NDArray[np.float32]:
    return np.broadcast_to(np.float32(1), like.shape)


@algorithm(
    "Image.unmask(input: Image, value: Image = null, sameFootprint: Boolean = true) -> Image"
)
def unmask(image: Image, value: Image | None, same_footprint: bool) -> Image:
    """Return an image with its masked pixels filled, by zero or by another image's.

    Outside of its footprint it stays masked, unless `sameFootprint` is false.
    """
    filling = value or constant_image([0])
    bands = [_filled(band, fill, same_footprint) for band, fill in paired(image, filling)]
    return image.derived(bands)


def _filled(band: Band, fill: Band, same_footprint: bool) -> Band:
    found = pixeltypes.union((band.type, fill.type))

    def compute(pixels: Pixels, other: Pixels) -> Pixels:
        is_hidden = pixels.mask == 0
        values = chosen_values(is_hidden, other, pixels, found)
        return Pixels(values, np.where(is_hidden, other.mask, pixels.mask))

    node = Apply(compute, (band.node, fill.node))
    if same_footprint:
        return replace(band, type=found, node=within(band, node))
    return replace(band, type=found, node=node, extent=None)


@algorithm("Image.where(input: Image, test: Image, value: Image) -> Image")
def where(image: Image, test: Image, value: Image) -> Image:
    """Return an image with another's pixels where a third is not zero.

    Pixels that are masked in the test or in the other image are not replaced.
    """
    tests = dict(zip(image.bands, (b for _, b in paired(image, test)), strict=False))
    values = dict(zip(image.bands, (b for _, b in paired(image, value)), strict=False))
    return map_bands(image, lambda band: _replaced(band, tests[band], values[band]))


def _replaced(band: Band, test: Band, value: Band) -> Band:
    found = pixeltypes.union((band.type, value.type))

    def compute(pixels: Pixels, by: Pixels, new: Pixels) -> Pixels:
        chosen = (by.values != 0) & (by.mask > 0) & (new.mask > 0) & (pixels.mask > 0)
        values = chosen_values(chosen, new, pixels, found)
        return Pixels(values, np.where(chosen, new.mask, pixels.mask))

    return replace(band, type=found, node=Apply(compute, (band.node, test.node, value.node)))


def chosen(test: Image, yes: Image, no: Image) -> Image:
    """Return one image where another is not zero, else a third; masked where the test is."""
    pairs = paired(yes, no)
    tests = test.bands if len(test.bands) == len(pairs) else test.bands[:1] * len(pairs)
    return yes.derived(_chosen(by, a, b) for by, (a, b) in zip(tests, pairs, strict=True))


def _chosen(test: Band, yes: Band, no: Band) -> Band:
    found = pixeltypes.union((yes.type, no.type))

    def compute(by: Pixels, a: Pixels, b: Pixels) -> Pixels:
        is_yes = by.values != 0
        values = chosen_values(is_yes, a, b, found)
        return Pixels(values, np.where(is_yes, a.mask, b.mask) * (by.mask > 0))

    return replace(test, type=found, node=Apply(compute, (test.node, yes.node, no.node)))


@algorithm("Image.blend(bottom: Image, top: Image) -> Image")
def blend(bottom: Image, top: Image) -> Image:
    """Return one image over another, the mask of the upper one as its opacity."""
    return bottom.derived(_blended(under, over) for under, over in paired(bottom, top))


def _blended(under: Band, over: Band) -> Band:
    found = pixeltypes.union((under.type, over.type))

    def compute(below: Pixels, above: Pixels) -> Pixels:
        share = np.where(below.mask == 0, np.where(above.mask > 0, 1, 0), above.mask)
        mixed = below.values * (1.0 - share) + above.values * share
        values = np.where(share == 1, above.values, np.where(share == 0, below.values, mixed))
        return Pixels(fitted(values, found), np.maximum(below.mask, above.mask))

    return replace(under, type=found, node=Apply(compute, (under.node, over.node)))
