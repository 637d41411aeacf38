"""Composites of Landsat scenes without clouds, and scenes limited to the best of each place.

Source: Google's reference pages of Landsat.pathRowLimit and Landsat.simpleComposite. Decided: the
best scenes are those of the least CLOUD_COVER, of several the first ones; the limit in total is of
the collection, not of a request for pixels, and takes the best scene of each path and row, then the
second best of each, and so on. A pixel's percentile is among the images whose cloud score is at
most `cloudScoreRange` above the least one there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tileserver.compute.algorithms.collection.composites import (
    composite,
    images_of,
    layers_of,
    stacked,
)
from tileserver.compute.algorithms.image.landsat import CLOUD, cloud_band, is_thermal, toa
from tileserver.compute.context import Context
from tileserver.compute.nodes import Apply, Node, Pixels
from tileserver.compute.pixels import reductions
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.pixel_type import BYTE, FLOAT
from tileserver.compute.values.reducer import Output, Reduced, Stack, Valid
from tileserver.errors import InvalidRequest


@algorithm(
    "Landsat.pathRowLimit(collection: ImageCollection, maxScenesPerPathRow: Integer = 25.0,"
    " maxScenesTotal: Integer = 100.0) -> ImageCollection"
)
def path_row_limit(
    context: Context, collection: Collection, most_of_each: int, most: int
) -> Collection:
    """Return the least cloudy scenes of each path and row, in the order of the collection."""
    ranked = _ranked(images_of(context, collection))
    best = sorted(each for each in ranked if each[0] < most_of_each)[: max(most, 0)]
    kept = sorted(place for _, _, place in best)
    return collection.with_elements([collection.elements[place] for place in kept])


def _ranked(images: Sequence[Image]) -> list[tuple[int, float, int]]:
    """Return the rank of each image among those of its path and row, its clouds and its place."""
    groups: dict[Any, list[tuple[float, int]]] = {}
    for place, image in enumerate(images):
        about = image.properties
        cover = about.get("CLOUD_COVER")
        clouds = float(cover) if isinstance(cover, int | float) else np.inf
        key = (str(about.get("WRS_PATH")), str(about.get("WRS_ROW")))
        groups.setdefault(key, []).append((clouds, place))
    in_order = [sorted(each) for each in groups.values()]
    return [(rank, *pair) for each in in_order for rank, pair in enumerate(each)]


@algorithm(
    "Landsat.simpleComposite(collection: ImageCollection, percentile: Integer = 50.0,"
    " cloudScoreRange: Integer = 10.0, maxDepth: Integer = 40.0, asFloat: Boolean = false)"
    " -> Image"
)
def simple_composite(
    context: Context,
    collection: Collection,
    percentile: int,
    cloud_range: int,
    most: int,
    as_float: bool,
) -> Image:
    """Return percentiles of reflectance and temperature among the least cloudy pixels.

    Numbers from 0 to 255, of reflectance times 255 and of kelvin less 100, unless `asFloat`.
    """
    if not 0 <= percentile <= 100:
        raise InvalidRequest(f"percentile must be from 0 to 100, got {percentile}.")
    limited = path_row_limit(context, collection, most, len(collection.elements))
    scenes = [toa(image) for image in images_of(context, limited)]
    if not scenes:
        return Image(())
    scored = [scene.derived([*_calibrated(scene), cloud_band(scene)]) for scene in scenes]
    layers = layers_of(context, Collection("ImageCollection", tuple(scored)))
    clouds = dict(layers)[CLOUD]
    output = Output("", (0, 1), lambda columns: None, _clearest(percentile, cloud_range))
    bands = []
    for name, layer in layers:
        if name != CLOUD:
            pairs = [band for pair in zip(clouds, layer, strict=True) for band in pair]
            node = stacked(output, pairs, FLOAT)
            made = node if as_float else _as_bytes(node, is_thermal(scenes[0], layer[0]))
            bands.append(composite(name, FLOAT if as_float else BYTE, made))
    return Image(tuple(bands))


def _calibrated(scene: Image) -> list[Band]:
    """Return the bands of a scene that are calibrated: B1, B2 and so on."""
    return [band for band in scene.bands if band.type == FLOAT]


def _clearest(percentile: int, cloud_range: int) -> Any:
    find = reductions.percentile(percentile)

    def reduce(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        scores = np.where(valid, stacks[0].astype(np.float32), np.inf)
        return find(stacks[1], valid & (scores <= scores.min(axis=0) + cloud_range))

    return reduce


def _as_bytes(node: Node, is_temperature: bool) -> Node:
    def compute(pixels: Pixels) -> Pixels:
        values = pixels.values.astype(np.float64)
        scaled = values - 100 if is_temperature else values * 255
        whole = np.floor(np.clip(np.nan_to_num(scaled), 0, 255) + 0.5)
        return Pixels(whole.astype(np.uint8), pixels.mask)

    return Apply(compute, (node,))
