"""Masks of images, set and filled."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from tests.compute.conftest import GRID, HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.contract.grids import Window

HIDDEN = hole_values() == -9999


def test_a_mask_can_be_read(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image(HOLES).mask())["b1"]
    assert found.dtype == np.float32
    assert (found == ~HIDDEN).all()


def test_an_image_is_hidden_where_a_condition_does_not_hold(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    holes, scene = ee.Image(HOLES), ee.Image(SCENE).select("B1")
    found = evaluator.masked(holes.updateMask(scene.gt(2000)))["b1"]
    assert (np.ma.getmaskarray(found) == (HIDDEN | (scene_values()[0] <= 2000))).all()
    assert (found.compressed() == hole_values()[~np.ma.getmaskarray(found)]).all()


def test_an_image_hides_its_own_zeros(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(SCENE).select("B1").gt(3000).selfMask())["B1"]
    assert (np.ma.getmaskarray(found) == (scene_values()[0] <= 3000)).all()


def test_a_mask_set_anew_shows_what_was_hidden(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(HOLES).mask(ee.Image(1)))["b1"]
    assert not np.ma.getmaskarray(found).any()


def test_hidden_pixels_are_filled(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(HOLES).unmask(-1))["b1"]
    assert (found == np.where(HIDDEN, -1, hole_values())).all()
    with_image = evaluator.pixels(ee.Image(HOLES).unmask(ee.Image(SCENE).select("B1")))["b1"]
    assert (with_image == np.where(HIDDEN, scene_values()[0], hole_values())).all()


def test_what_lies_outside_the_footprint_is_filled_only_when_asked(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    beside = GRID.window(Window(-8, 0, 16, 4))
    inside = evaluator.masked(ee.Image(HOLES).unmask(-1), beside)["b1"]
    assert np.ma.getmaskarray(inside)[:, :8].all()
    assert not np.ma.getmaskarray(inside)[:, 8:].any()
    everywhere = evaluator.masked(ee.Image(HOLES).unmask(-1, sameFootprint=False), beside)["b1"]
    assert (everywhere[:, :8] == -1).all()


def test_pixels_are_replaced_where_a_condition_holds(ee: ModuleType, evaluator: Evaluator) -> None:
    first, second, _ = scene_values()
    scene, holes = ee.Image(SCENE), ee.Image(HOLES)
    found = evaluator.pixels(scene.select("B1").where(scene.select("B2").gt(2000), 7))["B1"]
    assert (found == np.where(second > 2000, 7, first)).all()
    # A hidden test changes nothing.
    tested = evaluator.pixels(scene.select("B1").where(holes.gte(-999), 7))["B1"]
    assert (tested == np.where(HIDDEN, first, 7)).all()


def test_half_a_mask_is_half_opaque(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).visualize(min=0, max=4000, opacity=0.5)
    bands = evaluator.computing.bands(evaluator.request(image))
    assert bands.alpha is not None
    assert set(np.unique(bands.alpha)) == {128}


def test_one_image_lies_over_another(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(SCENE).select("B1").blend(ee.Image(HOLES)))["B1"]
    assert (found == np.where(HIDDEN, scene_values()[0], hole_values())).all()
