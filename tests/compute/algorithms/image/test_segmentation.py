"""Superpixels and clusters: scikit-learn, SciPy and properties of the papers are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.metrics import adjusted_rand_score

from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HOLES, SCENE, SIDE, Evaluator, hole_values
from tileserver.compute.pixels.superpixels import anderson_darling
from tileserver.errors import InvalidRequest


def quarters(ee: ModuleType) -> Any:
    """Return an image of four fields with a little noise, in two bands."""
    places = ee.Image.pixelCoordinates(
        ee.Projection("EPSG:32612", [30, 0, 400000, 0, -30, 4500000])
    )
    field = places.select("x").gte(30).add(places.select("y").gte(34).multiply(2))
    noise = ee.Image(SCENE).select("B1").divide(40_000)
    return field.add(noise).rename("a").addBands(field.multiply(-10).add(noise).rename("b"))


ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE]
TRUE = (COLUMNS >= 30) + 2 * (ROWS >= 34)


@pytest.mark.parametrize(
    "make",
    [
        lambda s, i: s.KMeans(i, 4, gridSize=512, uniqueLabels=False),
        lambda s, i: s.GMeans(i, 10, 20, gridSize=512, uniqueLabels=False),
    ],
    ids=["KMeans", "GMeans"],
)
def test_fields_are_found(ee: ModuleType, evaluator: Evaluator, make: Any) -> None:
    image = make(ee.Algorithms.Image.Segmentation, quarters(ee))
    found = evaluator.pixels(image)["clusters"]
    # The raster lies in one cell of 512 pixels.
    assert adjusted_rand_score(TRUE.ravel(), found.ravel()) > 0.99


def test_cells_have_numbers_of_their_own(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Algorithms.Image.Segmentation.KMeans(quarters(ee), 3, gridSize=16)
    found = evaluator.pixels(image)["clusters"].astype(np.int64)
    assert (tiled(evaluator, image, GRID, "clusters") == found).all()
    column, row = GRID.transform.translate_x / 30, -GRID.transform.translate_y / 30
    cells = (np.floor(COLUMNS + column) // 16) * 10**6 + np.floor(ROWS + row) // 16
    for each in np.unique(cells):
        assert len(np.unique(found[cells == each])) <= 3
    owners = {(a, b) for a, b in zip(found.ravel().tolist(), cells.ravel().tolist(), strict=True)}
    assert len(owners) == len({a for a, _ in owners})


@pytest.mark.parametrize("connectivity", [4, 8])
def test_superpixels(ee: ModuleType, evaluator: Evaluator, connectivity: int) -> None:
    image = ee.Algorithms.Image.Segmentation.SNIC(quarters(ee), 8, 0.1, connectivity)
    assert evaluator.value(image.bandNames()) == ["clusters", "a_mean", "b_mean", "seeds"]
    found = evaluator.masked(image)
    labels = found["clusters"].filled(0).astype(np.int64)
    values = evaluator.pixels(quarters(ee))
    structure = np.ones((3, 3)) if connectivity == 8 else None
    whole = 0
    for each in np.unique(labels):
        own = labels == each
        fields = np.bincount(TRUE[own], minlength=4)
        # A superpixel keeps to one field.
        assert fields.max() >= 0.9 * fields.sum() or fields.sum() < 6
        if 0 in np.argwhere(own) or SIDE - 1 in np.argwhere(own):
            continue
        whole += 1
        assert ndimage.label(own, structure)[1] == 1
        np.testing.assert_allclose(found["a_mean"][own], values["a"][own].mean(), rtol=1e-4)
    assert whole > 10
    seeds = ~np.ma.getmaskarray(found["seeds"])
    assert seeds.sum() == 64
    assert (found["seeds"][seeds] == labels[seeds]).mean() == 1
    assert (tiled(evaluator, image, GRID, "clusters") == labels).all()


def test_superpixels_from_given_seeds(ee: ModuleType, evaluator: Evaluator) -> None:
    seeds = ee.Algorithms.Image.Segmentation.seedGrid(16, "hex")
    image = ee.Algorithms.Image.Segmentation.SNIC(
        quarters(ee), 16, 0, neighborhoodSize=20, seeds=seeds
    )
    found = evaluator.masked(image)
    assert list(found) == ["clusters", "a_mean", "b_mean"]
    shown = evaluator.masked(seeds)["seeds"]
    at = ~np.ma.getmaskarray(shown)
    assert at.sum() == 16
    assert len(np.unique(found["clusters"][at])) == 16
    assert (tiled(evaluator, image, GRID, "clusters") == found["clusters"].filled(0)).all()


def test_masked_pixels_have_no_segment(ee: ModuleType, evaluator: Evaluator) -> None:
    hidden = hole_values() == -9999
    for image in (
        ee.Algorithms.Image.Segmentation.SNIC(ee.Image(HOLES), 6),
        ee.Algorithms.Image.Segmentation.KMeans(ee.Image(HOLES), 3, gridSize=32),
    ):
        found = np.ma.getmaskarray(evaluator.masked(image.select("clusters"))["clusters"])
        assert found[hidden].all()
        assert found.mean() < 0.3


def test_seeds_lie_on_a_grid(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Algorithms.Image.Segmentation.seedGrid(7)
    found = ~np.ma.getmaskarray(evaluator.masked(image)["seeds"])
    rows, columns = np.nonzero(found)
    assert set(np.diff(np.unique(rows))) == {7}
    assert set(np.diff(np.unique(columns))) == {7}
    assert (tiled(evaluator, image, GRID, "seeds").astype(bool) == found).all()


def test_the_test_for_a_normal_distribution() -> None:
    chance = np.random.default_rng(3)
    for values in (chance.normal(5, 2, 200), chance.random(150), chance.exponential(1, 90)):
        oracle: Any = stats.anderson
        expected = oracle(values, "norm", method="interpolate").statistic
        assert anderson_darling(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s, i: s.SNIC(i, 0), "size must be from 1 to 256"),
        (lambda s, i: s.SNIC(i, 5, 1, 6), "connectivity must be 4 or 8"),
        (lambda s, i: s.SNIC(i, neighborhoodSize=10**6), "neighborhoodSize must be from 0 to"),
        (lambda s, i: s.KMeans(i, 10**6), "numClusters must be from 1 to 500"),
        (lambda s, i: s.KMeans(i, 2, 10**9), "numIterations must be from 1 to 1000"),
        (lambda s, i: s.KMeans(i, neighborhoodSize=5, gridSize=5), "exclude each other"),
        (lambda s, i: s.GMeans(i, pValue=0), "pValue must be above zero"),
        (lambda s, i: s.seedGrid(5, "round"), "gridType must be square or hex"),
    ],
)
def test_parameters_are_checked(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(ee.Algorithms.Image.Segmentation, ee.Image(SCENE)))
