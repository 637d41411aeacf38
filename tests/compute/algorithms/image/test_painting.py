"""Collections painted onto images, and drawn as pictures."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from tests.compute.conftest import GRID, HOLES, SIDE, Evaluator, hole_values
from tests.rest import memory
from tests.support.limits import cpu_limit
from tileserver.compute.algorithms.image import painting
from tileserver.compute.pixels.dashes import dashed
from tileserver.compute.pixels.drawn_shapes import Shapes
from tileserver.compute.pixels.rasterize import check_size
from tileserver.compute.values.geometry import Geometry
from tileserver.errors import InvalidRequest

T = GRID.transform


def place(column: float, row: float) -> list[float]:
    """Return a pixel position of the tests' grid in its CRS."""
    return list(T.apply(column, row))


def box(ee: ModuleType, left: int, top: int, right: int, bottom: int, **facts: Any) -> Any:
    (west, north), (east, south) = place(left, top), place(right, bottom)
    shape = ee.Geometry.Rectangle([west, south, east, north], GRID.crs_code, False)
    return ee.Feature(shape, facts)


def point(ee: ModuleType, column: float, row: float, **facts: Any) -> Any:
    return ee.Feature(ee.Geometry.Point(place(column, row), GRID.crs_code), facts)


def covered(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    found = np.zeros((SIDE, SIDE), bool)
    found[top:bottom, left:right] = True
    return found


def test_features_are_painted_and_shown_where_an_image_is_masked(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    features = ee.FeatureCollection([box(ee, 5, 10, 20, 30), box(ee, 15, 20, 40, 50)])
    found = evaluator.masked(ee.Image(HOLES).paint(features, 7))["b1"]
    inside = covered(5, 10, 20, 30) | covered(15, 20, 40, 50)
    assert (found[inside] == 7).all()
    assert not np.ma.getmaskarray(found)[inside].any()
    stored = np.ma.masked_equal(hole_values(), -9999)
    np.testing.assert_array_equal(found.filled(-1)[~inside], stored.filled(-1)[~inside])


def test_a_property_gives_the_number_and_the_later_feature_wins(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    features = ee.FeatureCollection([box(ee, 5, 10, 20, 30, n=3), box(ee, 15, 20, 40, 50, n=9)])
    found = evaluator.masked(ee.Image().byte().paint(features, "n"))["constant"]
    wanted = np.where(covered(15, 20, 40, 50), 9, np.where(covered(5, 10, 20, 30), 3, 0))
    np.testing.assert_array_equal(found.filled(0), wanted)
    assert found.dtype == np.uint8


def test_with_a_width_only_edges_are_painted(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection([box(ee, 10, 10, 30, 40, w=2)])
    for width in (2, "w"):
        found = evaluator.masked(ee.Image(0).paint(features, 1, width))["constant"].filled(0)
        ring = covered(9, 9, 31, 41) & ~covered(11, 11, 29, 39)
        # Corners are round.
        assert (found != ring).sum() <= 4
        assert not found[covered(11, 11, 29, 39)].any()


def test_a_number_beyond_the_type_of_a_band_is_its_end(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    features = ee.FeatureCollection([box(ee, 0, 0, SIDE, SIDE)])
    assert (evaluator.pixels(ee.Image(0).byte().paint(features, 300))["constant"] == 255).all()


def rgba(evaluator: Evaluator, image: Any) -> NDArray[Any]:
    """Return red, green, blue and opacity, shape (4, SIDE, SIDE)."""
    colors = evaluator.pixels(image)
    opacity = evaluator.pixels(image.mask())["vis-red"]
    return np.stack([*(colors[name] for name in colors.dtype.names or ()), opacity])


def test_a_style_fills_and_outlines(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection([box(ee, 10, 10, 30, 40)])
    image = features.style(color="ff0000", fillColor="00ff0080", width=2)
    found = rgba(evaluator, image)
    inside = covered(11, 11, 29, 39)
    half = 128 / 255
    for channel, value in enumerate((0, 255, 0, half)):
        np.testing.assert_allclose(found[channel][inside], value, rtol=1e-6)
    edge = covered(9, 12, 11, 38)
    for channel, value in enumerate((255, 0, 0, 1)):
        assert (found[channel][edge] == value).all()
    assert not found[3][~covered(9, 9, 31, 41)].any()


def test_a_style_fills_two_thirds_unless_told_otherwise(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    features = ee.FeatureCollection([box(ee, 10, 10, 30, 40)])
    found = rgba(evaluator, features.style(color="blue", width=0))
    inside = covered(10, 10, 30, 40)
    np.testing.assert_allclose(found[3], np.where(inside, 0.66, 0), rtol=1e-6)
    assert (found[2][inside] == 255).all()


def test_a_feature_may_have_a_style_of_its_own(ee: ModuleType, evaluator: Evaluator) -> None:
    own = {"color": "00ff00", "fillColor": "0000ff", "width": 0}
    features = ee.FeatureCollection(
        [box(ee, 10, 10, 20, 20, look={}), box(ee, 15, 15, 40, 40, look=own)]
    )
    image = features.style(color="red", fillColor="ff0000", width=0, styleProperty="look")
    found = rgba(evaluator, image)
    blue = covered(15, 15, 40, 40)
    red = covered(10, 10, 20, 20) & ~blue
    np.testing.assert_array_equal(found[0], np.where(red, 255, 0))
    np.testing.assert_array_equal(found[2], np.where(blue, 255, 0))
    np.testing.assert_array_equal(found[3], red | blue)


def test_a_translucent_colour_lets_what_is_below_through(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    below = {"fillColor": "ff0000"}
    above = {"fillColor": "0000ff80"}
    features = ee.FeatureCollection(
        [box(ee, 10, 10, 30, 30, look=below), box(ee, 20, 20, 40, 40, look=above)]
    )
    found = rgba(evaluator, features.style(width=0, styleProperty="look"))
    both = covered(20, 20, 30, 30)
    assert (found[3][both] == 1).all()
    assert set(found[0][both]) == {127}
    assert set(found[2][both]) == {128}


def test_a_point_is_a_mark_of_a_radius(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection([point(ee, 20.5, 30.5)])
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    away = np.hypot(rows - 30, columns - 20)
    found = rgba(evaluator, features.style(pointSize=6, width=0, fillColor="ffffff"))[3] > 0
    sure = abs(away - 6) > 0.2
    np.testing.assert_array_equal(found[sure], (away < 6)[sure])
    square = features.style(pointSize=6, pointShape="s", width=0, fillColor="ffffff")
    assert (rgba(evaluator, square)[3] > 0).sum() == pytest.approx(72, abs=10)


def test_draw_is_a_style_of_one_colour(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection([box(ee, 10, 10, 30, 40), point(ee, 50, 50)])
    drawn = features.draw("ff8800", 5, 3)
    styled = features.style(color="ff8800", pointSize=5, width=3)
    np.testing.assert_array_equal(rgba(evaluator, drawn), rgba(evaluator, styled))


@pytest.mark.parametrize(("line", "on", "off"), [("dotted", 4, 4), ("dashed", 16, 8)])
@pytest.mark.parametrize("is_own", [False, True])
def test_a_line_of_a_type_is_drawn_in_dashes(
    ee: ModuleType, evaluator: Evaluator, line: str, on: int, off: int, is_own: bool
) -> None:
    ends = [place(2, 20), place(62, 20)]
    shape = ee.Geometry.LineString(ends, GRID.crs_code, False)
    features = ee.FeatureCollection([ee.Feature(shape, {"look": {"lineType": line}})])
    look = {"styleProperty": "look"} if is_own else {"lineType": line}
    found = rgba(evaluator, features.style(color="red", width=4, **look))[3]
    along = np.arange(SIDE)
    wanted = (along >= 2) & (along < 62) & ((along - 2) % (on + off) < on)
    np.testing.assert_array_equal(found[20] > 0, wanted)
    np.testing.assert_array_equal(found[18] > 0, wanted)
    assert not found[24].any()


def test_dashes_lie_alike_in_every_piece() -> None:
    turns = shapely.LineString([(0, 0), (50, 3), (50.5, 40), (90, 41), (20, 90), (20, 5)])
    whole = dashed(turns, 3.0, 2.0, shapely.box(-1, -1, 100, 100))
    line = [turns.interpolate(start).distance(whole) for start in np.arange(0.5, turns.length, 5)]
    assert max(line) < 1e-9
    assert whole.length == pytest.approx(turns.length * 3 / 5, abs=3)
    for column, row in np.ndindex(4, 4):
        piece = shapely.box(25 * column, 25 * row, 25 * column + 25, 25 * row + 25)
        cut = dashed(turns, 3.0, 2.0, piece)
        assert cut.length == pytest.approx(whole.intersection(piece).length, abs=1e-9)


def test_of_a_long_line_only_dashes_nearby_are_made() -> None:
    around = shapely.LineString([(0, 0), (1e9, 0), (1e9, 1e9)])
    with cpu_limit(1):
        cut = dashed(around, 1.0, 1.0, shapely.box(5e8, -10, 5e8 + 100, 10))
    assert cut.length == pytest.approx(50, abs=1)


def test_a_line_of_too_many_dashes_is_solid() -> None:
    there_and_back = shapely.LineString(np.tile([(0.0, 5.0), (100.0, 5.0)], (5000, 1)))
    with cpu_limit(1):
        drawn = dashed(there_and_back, 1.0, 1.0, shapely.box(0, 0, 100, 100))
    assert drawn.length == pytest.approx(there_and_back.length)


def test_the_text_of_a_number_may_be_painted(ee: ModuleType, evaluator: Evaluator) -> None:
    # As in Google's guide of raster to vector conversion, which paints "000000".
    features = ee.FeatureCollection([box(ee, 5, 10, 20, 30), box(ee, 15, 20, 40, 50)])
    for text, number in (("000000", 0), ("7", 7)):
        found = evaluator.masked(ee.Image(1).updateMask(0).paint(features, text))["constant"]
        inside = covered(5, 10, 20, 30) | covered(15, 20, 40, 50)
        np.testing.assert_array_equal(~np.ma.getmaskarray(found), inside)
        assert (found.compressed() == number).all()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"color": "no-color"}, "no-color"),
        ({"pointShape": "blob"}, "pointShape must be one of circle, square"),
        ({"lineType": "wavy"}, "lineType must be one of solid, dotted, dashed, got 'wavy'"),
        ({"width": -1}, "width must be a number of pixels"),
        ({"styleProperty": "n"}, "styleProperty: expected a dictionary, got 3"),
    ],
)
def test_a_style_that_is_none_is_refused(
    ee: ModuleType, evaluator: Evaluator, asked: dict[str, Any], said: str
) -> None:
    features = ee.FeatureCollection([box(ee, 1, 1, 5, 5, n=3)])
    with pytest.raises(InvalidRequest, match=r"Collection\.style: ") as refusal:
        evaluator.value(features.style(**asked))
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("color", "said"),
    [("name", "color: expected a number, got 'x'"), ("none", "color: expected a number, got None")],
)
def test_a_property_that_is_no_number_cannot_be_painted(
    ee: ModuleType, evaluator: Evaluator, color: str, said: str
) -> None:
    features = ee.FeatureCollection([box(ee, 1, 1, 5, 5, name="x")])
    with pytest.raises(InvalidRequest) as refusal:
        evaluator.value(ee.Image(0).paint(features, color))
    assert said in str(refusal.value)


@pytest.mark.parametrize("size", [501, 1_000_000])
@pytest.mark.parametrize("of", ["width", "pointSize", "own", "draw", "paint", "painted property"])
def test_a_width_or_size_of_many_pixels_is_refused_before_anything_is_drawn(
    ee: ModuleType, evaluator: Evaluator, size: float, of: str
) -> None:
    features = ee.FeatureCollection([point(ee, 20, 20, size=size, look={"pointSize": size})])
    picture = {
        "width": lambda: features.style(width=size),
        "pointSize": lambda: features.style(pointSize=size),
        "own": lambda: features.style(styleProperty="look"),
        "draw": lambda: features.draw("red", size),
        "paint": lambda: ee.Image(0).paint(features, 1, size),
        "painted property": lambda: ee.Image(0).paint(features, 1, "size"),
    }[of]()
    said = r"(width|pointSize) must be a number of pixels from 0 to 500, got (501|1e\+06)"
    with cpu_limit(5), pytest.raises(InvalidRequest, match=said):
        evaluator.pixels(picture)


@pytest.mark.parametrize("size", [-1, 501, 1e300, float("inf"), float("nan")])
def test_what_is_no_size_is_refused(size: float) -> None:
    with pytest.raises(InvalidRequest, match="width must be a number of pixels from 0 to 500"):
        check_size(size, "width")


def test_a_width_as_large_as_may_be_is_drawn(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection([point(ee, 20, 20)])
    assert rgba(evaluator, features.style(pointSize=500, width=500))[3].all()


def test_drawing_that_takes_long_is_given_up(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limit itself, so that the test need not take so long.
    monkeypatch.setattr(painting, "_DRAWING_S", 0.0)
    features = ee.FeatureCollection([point(ee, n, n).set("n", n) for n in range(1, 50)])
    for picture in (features.style(pointSize=9), ee.Image(0).paint(features, 1, 2)):
        with pytest.raises(InvalidRequest, match="Computation timed out"):
            evaluator.pixels(picture)


@pytest.mark.slow
@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to tell memory")
def test_the_drawings_of_images_that_are_held_are_few(ee: ModuleType, evaluator: Evaluator) -> None:
    grid = replace(GRID, width=512, height=512)

    def draw(number: int) -> None:
        features = ee.FeatureCollection([point(ee, number % 60 + 1, 20)])
        evaluator.computing.bands(evaluator.request(features.style(width=number / 100), grid))

    draw(1)
    memory.forget()
    before_mb = memory.now_mb()
    for number in range(2, 62):
        draw(number)
    memory.forget()
    # 4 MB each; all of them would be 240.
    assert memory.now_mb() - before_mb < 80


def test_geometries_are_kept_in_few_crss(ee: ModuleType, evaluator: Evaluator) -> None:
    shapes = Shapes((Geometry(shapely.Point(-111, 40)),))
    for zone in range(32601, 32661):
        assert shapes.parts_near(replace(GRID, crs_code=f"EPSG:{zone}"), 1)
    assert len(shapes._carried) <= 2
