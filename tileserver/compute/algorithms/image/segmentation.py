"""`Image.Segmentation.*`: superpixels and clusters of pixels.

Source: the reference pages and the papers that they name. Decided, so that a result does not
depend on the tile: the grids of seeds and cells are fixed to the lattice of the projection,
counted from its origin. SNIC works in blocks of about 128 pixels, KMeans and GMeans in cells of
gridSize, else of 256 pixels, each with a margin of neighborhoodSize that is read; where a block or
cell ends a segment may end. A cluster's number is made of the place of its seed or cell, unless
uniqueLabels is false. SNIC takes pixels from its queue many at a time, so its
borders are near those of the paper's order, not the same. pValue of GMeans is the critical value
of Anderson and Darling's statistic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.objects import check_size
from tileserver.compute.context import check_length
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.blocks import lattice_place
from tileserver.compute.pixels.grid_blocks import InGridBlocks, field
from tileserver.compute.pixels.objects import EIGHT, FOUR, objects_of
from tileserver.compute.pixels.superpixels import clustered, gaussian_clusters, grown_segments
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image
from tileserver.compute.values.pixel_type import FLOAT, PixelType
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown

_LABELS = PixelType("int", 0, 2**48)
_BLOCK_PX = 128
_CELL_PX = 256
_MAX_MARGIN = 256
_MAX_CLUSTERS = 500
_MAX_BANDS = 50
_TURN = 2**24
_CELLS = 2**12
_MOST_GAUSSIANS = 64


def _is_seed(grid: PixelGrid, size: int, is_hex: bool = False) -> NDArray[np.bool_]:
    """Return whether each pixel of a grid is a seed, counted from the CRS's origin."""
    column, row = lattice_place(grid)
    rows, columns = np.arange(grid.height) + row, np.arange(grid.width) + column
    across = columns[np.newaxis, :] + np.zeros((grid.height, 1), np.int64)
    if is_hex:
        # Every other row of seeds is half a step farther.
        across = across + (rows // size % 2)[:, np.newaxis] * (size // 2)
    middle = size // 2
    found: NDArray[np.bool_] = (rows % size == middle)[:, np.newaxis] & (across % size == middle)
    return found


def _numbers(grid: PixelGrid) -> NDArray[np.int64]:
    """Return a number of each pixel of a grid by its place in the lattice, above zero."""
    column, row = lattice_place(grid)
    rows, columns = np.arange(grid.height) + row, np.arange(grid.width) + column
    return (rows % _TURN * _TURN)[:, np.newaxis] + columns % _TURN + 1


@algorithm('Image.Segmentation.seedGrid(size: Integer = 5, gridType: String = "square") -> Image')
def seed_grid(size: int, grid_type: str) -> Image:
    """Return a band `seeds` that is 1 at seeds so many pixels apart, and masked elsewhere."""
    check_size(size, "size")
    if grid_type not in ("square", "hex"):
        raise InvalidRequest(f"gridType must be square or hex, got {shown(grid_type)}.")

    def compute(grid: PixelGrid) -> Pixels:
        found = _is_seed(grid, size, grid_type == "hex")
        return Pixels(found.astype(np.uint8), found.astype(np.float32))

    type_ = PixelType("int", 0, 1)
    return Image((Band("seeds", type_, DEFAULT_PROJECTION, None, ApplyOnGrid(compute)),))


def _check_bands(image: Image) -> None:
    if not image.bands:
        raise InvalidRequest("An image without bands has no segments.")
    check_length(len(image.bands), _MAX_BANDS, "bands")


def _check_margin(size: int) -> None:
    if not 0 <= size <= _MAX_MARGIN:
        raise InvalidRequest(f"neighborhoodSize must be from 0 to {_MAX_MARGIN}, got {size}.")


@algorithm(
    "Image.Segmentation.SNIC(image: Image, size: Integer = 5, compactness: Float = 1,"
    " connectivity: Integer = 8, neighborhoodSize: Integer = null, seeds: Image = null) -> Image"
)
def snic(
    image: Image,
    size: int,
    compactness: float,
    connectivity: int,
    margin: int | None,
    seeds: Image | None,
) -> Image:
    """Return superpixels: `clusters`, the mean of each band in them, and `seeds` if none are given.

    They grow from seeds `size` pixels apart, or from the pixels of `seeds` that are not zero.
    """
    _check_bands(image)
    if not 1 <= size <= _MAX_MARGIN:
        raise InvalidRequest(f"size must be from 1 to {_MAX_MARGIN}, got {size}.")
    if connectivity not in (4, 8):
        raise InvalidRequest(f"connectivity must be 4 or 8, got {connectivity}.")
    if not 0 <= compactness < 1e9:
        raise InvalidRequest(f"compactness must not be negative, got {compactness:g}.")
    reach = min(2 * size, _MAX_MARGIN) if margin is None else margin
    _check_margin(reach)
    count = len(image.bands)
    names = [f"m{place}" for place in range(count)]
    dtype = np.dtype([("clusters", "i8"), ("seeds", "i8"), *((name, "f4") for name in names)])

    def segment(grid: PixelGrid, *pixels: Pixels) -> Pixels:
        bands, given = pixels[:count], pixels[count:]
        valid = np.logical_and.reduce([_is_valid(each) for each in bands])
        values = np.stack([np.where(valid, each.values, 0).astype(float) for each in bands])
        starts = _starts(grid, size, connectivity, given)
        starts = np.where(valid, starts, -1)
        is_eight = connectivity == 8
        labels = grown_segments(values, valid, starts, size, compactness, is_eight)
        return _described(grid, values, labels, starts, dtype)

    side = size * -(-_BLOCK_PX // size)
    inputs = tuple(band.node for band in image.bands)
    if seeds is not None:
        inputs += tuple(band.node for band in seeds.bands[:1])
    core = InGridBlocks(inputs, side, lambda grid: reach, segment, dtype, 200)
    first = image.bands[0]
    bands = [replace(first, id="clusters", type=_LABELS, node=field(core, "clusters"))]
    for band, name in zip(image.bands, names, strict=True):
        bands.append(replace(band, id=f"{band.id}_mean", type=FLOAT, node=field(core, name)))
    if seeds is None:
        bands.append(replace(first, id="seeds", type=_LABELS, node=_seeds_of(core)))
    return image.derived(bands)


def _is_valid(pixels: Pixels) -> NDArray[np.bool_]:
    valid = pixels.mask > 0
    return valid & np.isfinite(pixels.values) if pixels.values.dtype.kind == "f" else valid


def _seeds_of(core: InGridBlocks) -> Any:
    node = field(core, "seeds")

    def pick(grid: PixelGrid, pixels: Pixels) -> Pixels:
        return Pixels(pixels.values, pixels.mask * (pixels.values > 0))

    return ApplyOnGrid(pick, (node,))


def _starts(
    grid: PixelGrid, size: int, connectivity: int, given: tuple[Pixels, ...]
) -> NDArray[np.int64]:
    """Return the number of the seed at each pixel, -1 for none."""
    if given:
        is_seed = _is_valid(given[0]) & (np.nan_to_num(given[0].values) != 0)
        offsets = EIGHT if connectivity == 8 else FOUR
        return objects_of(np.zeros(is_seed.shape, np.uint8), is_seed, offsets).labels
    is_seed = _is_seed(grid, size)
    return np.where(is_seed, np.cumsum(is_seed.ravel()).reshape(is_seed.shape) - 1, -1)


def _described(
    grid: PixelGrid,
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    starts: NDArray[np.int64],
    dtype: np.dtype[Any],
) -> Pixels:
    """Return number, means and seed of each pixel's segment, as a structured array."""
    found = np.zeros(labels.shape, dtype)
    known = labels >= 0
    count = int(starts.max(initial=-1)) + 1
    numbers, first = _numbers(grid), np.full(count + 1, np.iinfo(np.int64).max)
    is_start = starts >= 0
    np.minimum.at(first, starts[is_start], numbers[is_start])
    sizes = np.maximum(np.bincount(labels[known], minlength=count + 1), 1)
    found["clusters"] = np.where(known, first[labels], 0)
    found["seeds"] = np.where(is_start, first[starts], 0)
    for place, band in enumerate(values):
        sums = np.bincount(labels[known], band[known], minlength=count + 1)
        found[f"m{place}"] = np.where(known, (sums / sizes)[labels], 0)
    return Pixels(found, known.astype(np.float32))


Cluster = Callable[[NDArray[np.float64]], NDArray[np.int64]]


def _in_cells(
    image: Image,
    margin: int,
    side: int | None,
    unique: bool,
    most: int,
    cluster: Cluster,
    work: int,
) -> Image:
    """Return a band `clusters` of clusters made cell by cell."""
    _check_bands(image)
    _check_margin(margin)
    if side is not None and side > 0 and margin:
        raise InvalidRequest("gridSize and neighborhoodSize exclude each other.")
    side = side if side is not None and side > 0 else _CELL_PX
    check_size(side, "gridSize")

    def label(grid: PixelGrid, *pixels: Pixels) -> Pixels:
        valid = np.logical_and.reduce([_is_valid(each) & (each.mask >= 1) for each in pixels])
        found = np.zeros(valid.shape, np.int64)
        rows = np.stack([each.values[valid] for each in pixels], axis=1).astype(np.float64)
        if len(rows):
            column, row = (each + margin for each in lattice_place(grid))
            cell = row // side % _CELLS * _CELLS + column // side % _CELLS
            found[valid] = cluster(rows) + (cell * most if unique else 0)
        return Pixels(found, valid.astype(np.float32))

    inputs = tuple(band.node for band in image.bands)
    node = InGridBlocks(inputs, side, lambda grid: margin, label, np.dtype(np.int64), work)
    return image.derived([replace(image.bands[0], id="clusters", type=_LABELS, node=node)])


@algorithm(
    "Image.Segmentation.KMeans(image: Image, numClusters: Integer = 8,"
    " numIterations: Integer = 20, neighborhoodSize: Integer = 0, gridSize: Integer = null,"
    " forceConvergence: Boolean = false, uniqueLabels: Boolean = true) -> Image"
)
def k_means_segmentation(
    image: Image,
    count: int,
    iterations: int,
    margin: int,
    side: int | None,
    forces: bool,
    unique: bool,
) -> Image:
    """Return a band `clusters`: the k-means cluster of each pixel, cell by cell."""
    if not 1 <= count <= _MAX_CLUSTERS:
        raise InvalidRequest(f"numClusters must be from 1 to {_MAX_CLUSTERS}, got {count}.")
    _check_rounds(iterations)

    def cluster(rows: NDArray[np.float64]) -> NDArray[np.int64]:
        labels, has_settled = clustered(rows, count, iterations)
        if forces and not has_settled:
            raise InvalidRequest(f"K-means did not converge in {iterations} iterations.")
        return labels

    work = 3 * count * iterations * max(1, len(image.bands))
    return _in_cells(image, margin, side, unique, count, cluster, work)


@algorithm(
    "Image.Segmentation.GMeans(image: Image, numIterations: Integer = 10, pValue: Float = 50,"
    " neighborhoodSize: Integer = 0, gridSize: Integer = null, uniqueLabels: Boolean = true)"
    " -> Image"
)
def g_means_segmentation(
    image: Image, iterations: int, critical: float, margin: int, side: int | None, unique: bool
) -> Image:
    """Return a band `clusters`: clusters of normally distributed pixels, cell by cell."""
    _check_rounds(iterations)
    if not critical > 0:
        raise InvalidRequest(f"pValue must be above zero, got {critical:g}.")

    def cluster(rows: NDArray[np.float64]) -> NDArray[np.int64]:
        return gaussian_clusters(rows, iterations, critical, _MOST_GAUSSIANS)

    work = 3 * _MOST_GAUSSIANS * iterations * max(1, len(image.bands))
    return _in_cells(image, margin, side, unique, _MOST_GAUSSIANS, cluster, work)


def _check_rounds(iterations: int) -> None:
    if not 1 <= iterations <= 1000:
        raise InvalidRequest(f"numIterations must be from 1 to 1000, got {iterations}.")
