"""Describes a mosaic as one image: its bands, its grid, its times."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import Band, ImageAsset, MosaicState
from tileserver.contract.grids import AffineTransform, Box, PixelGrid
from tileserver.contract.times import time_text
from tileserver.geo.crs import WGS84
from tileserver.geo.turns import period
from tileserver.mosaics.members import COLUMNS, Members
from tileserver.mosaics.selection import Rule

_SMALL_PX = 256
"""The side of the coarsest level that is announced."""


def mosaic_asset(
    name: str, members: Members, rule: Rule, template: ImageAsset, state: MosaicState
) -> ImageAsset:
    """Return the image that the files of a mosaic are together.

    Args:
        name: full name.
        members: at least one.
        rule: of selection.
        template: the image of one of the files, from which all comes that they have in common.
        state: of the mosaic.
    """
    grid = common_grid(members)
    bands = _bands(members, rule, template, grid)
    longest = max(grid.width, grid.height)
    levels = range(1, max(math.ceil(math.log2(max(longest / _SMALL_PX, 1))), 0) + 1)
    return replace(
        template,
        name=name,
        version=_version(members, rule, state),
        bands=bands,
        start_time=time_text(_least(members.starts_s)),
        end_time=time_text(-_least(-members.ends_s)),
        update_time=None,
        size_bytes=None,
        properties={},
        overview_factors=tuple(2**level for level in levels),
        max_samples=ImageAsset.max_samples,
        mosaic=state,
    )


def band_types(members: Members) -> dict[str, np.dtype[np.generic]]:
    """Return the bands that more than half of the files have, and their types.

    A type holds the values of all files.

    They are in the order of the most frequent files.
    """
    counts: Counter[str] = Counter()
    types: dict[str, list[str]] = {}
    for profile, count in members.used_profiles:
        for band_id, dtype in profile:
            counts[band_id] += count
            types.setdefault(band_id, []).append(dtype)
    common = [band_id for band_id in types if 2 * counts[band_id] > len(members)]
    # Of files that have nothing in common the most frequent ones are shown.
    chosen = common or [band_id for band_id, _ in members.used_profiles[0][0]]
    return {band_id: np.result_type(*types[band_id]) for band_id in chosen}


def _bands(members: Members, rule: Rule, template: ImageAsset, grid: PixelGrid) -> tuple[Band, ...]:
    known = {band.id: band for band in template.bands}
    bands = []
    for band_id, dtype in band_types(members).items():
        if rule.is_average and dtype != np.float32:
            dtype = np.dtype(np.float64)
        like = known.get(band_id, template.bands[0])
        bands.append(replace(like, id=band_id, dtype=dtype, grid=grid, nodata=None))
    return tuple(bands)


def common_grid(members: Members) -> PixelGrid:
    """Return a grid of the finest pixels that holds all files.

    It is in their CRS, and on the lattice of the finest file, if they have one CRS; else in
    EPSG:4326.
    """
    used = np.unique(members.crs_numbers)
    if len(used) == 1:
        return _in_one_crs(members, members.crs_codes[used[0]])
    boxes = members.boxes
    sides = (boxes[:, 3] - boxes[:, 1]) / members.sizes[:, 1]
    side = float(sides[sides > 0].min(initial=1.0))
    lattice = AffineTransform.north_up(0.0, 0.0, side, side)
    return _covering(lattice, boxes, WGS84)


def _in_one_crs(members: Members, crs_code: str) -> PixelGrid:
    t = members.transforms.T
    areas = np.abs(t[0] * t[4] - t[1] * t[3])
    finest = members.grid(int(areas.argmin()))
    if len(members) == 1:
        return finest
    width, height = members.sizes.T
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    x = np.array([t[0] * column + t[1] * row + t[2] for column, row in corners])
    y = np.array([t[3] * column + t[4] * row + t[5] for column, row in corners])
    boxes = np.column_stack([x.min(axis=0), y.min(axis=0), x.max(axis=0), y.max(axis=0)])
    of = finest.transform
    if of.shear_x or of.shear_y or of.scale_x < 0 or of.scale_y > 0:
        side = of.pixel_side
        of = AffineTransform.north_up(
            float(boxes[:, 0].min()), float(boxes[:, 3].max()), side, side
        )
    return _covering(of, boxes, crs_code)


def _covering(lattice: AffineTransform, boxes: NDArray[np.float64], crs_code: str) -> PixelGrid:
    turn = period(crs_code)
    west, east = boxes[:, 0].min(), boxes[:, 2].max()
    if turn is not None:
        west, east = _around(boxes[:, 0], boxes[:, 2], turn)
    box = Box(float(west), float(boxes[:, 1].min()), float(east), float(boxes[:, 3].max()))
    return lattice.grid(lattice.covering(box), crs_code)


def _around(
    wests: NDArray[np.float64], easts: NDArray[np.float64], turn: float
) -> tuple[float, float]:
    """Return the shortest range of x, on a circle, that holds ranges."""
    order = np.argsort(wests, kind="stable")
    wests, easts = wests[order], np.maximum.accumulate(easts[order])
    # The gap after each range, the last of them up to the first one a turn later.
    gaps = np.append(wests[1:], wests[0] + turn) - easts
    widest = int(gaps.argmax())
    if widest == len(gaps) - 1 or gaps[widest] <= gaps[-1]:
        return float(wests[0]), float(min(easts[-1], wests[0] + turn))
    return float(wests[widest + 1]), float(easts[widest] + turn)


def _version(members: Members, rule: Rule, state: MosaicState) -> str:
    digest = hashlib.blake2b(f"{rule} {state}".encode(), digest_size=8)
    digest.update(b"\0".join(members.names))
    for name in COLUMNS:
        if name != "names":
            digest.update(np.ascontiguousarray(getattr(members, name)).data)
    digest.update(f"{members.crs_codes} {members.profiles}".encode())
    return digest.hexdigest()


def _least(values: NDArray[np.float64]) -> float:
    return float(np.fmin.reduce(values)) if len(values) else math.nan
